"""How webhooks are delivered: retries, rate, and what is sent on demand."""

from typing import Any
from uuid import uuid4

import pytest

from tests.gateway.conftest import Api
from tests.gateway.hooks import OF_EXECUTIONS, SECRET, Hook, cancelled
from tests.receiver import Receiver, Reply

LONG_AGO = "2025-08-04T00:00:00Z"


@pytest.mark.contract("X-033", "X-075")
@pytest.mark.parametrize(("last_gap", "backoff"), [(0.2, True), (0.1, False)])
async def test_a_failed_delivery_is_tried_again(
    newcomer: Api, receiver: Receiver, last_gap: float, *, backoff: bool
) -> None:
    policy = {"maxRetries": 3, "retryDelay": 100, "exponentialBackoff": backoff}
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy=policy)
    hook.answers(500, 500, 200)
    await cancelled(newcomer)

    (delivery,) = await hook.settled()
    first, second, third = hook.arrivals

    assert (delivery["status"], delivery["attemptCount"]) == ("delivered", 3)
    assert second.at - first.at >= 0.1
    assert third.at - second.at >= last_gap
    assert first.message_id == second.message_id == third.message_id == delivery["messageId"]
    assert first.body == second.body == third.body
    assert all(arrival.verified(SECRET) for arrival in hook.arrivals)


@pytest.mark.contract("X-034")
async def test_retries_come_to_an_end(newcomer: Api, receiver: Receiver) -> None:
    policy = {"maxRetries": 2, "retryDelay": 10, "exponentialBackoff": False}
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy=policy)
    hook.answers(
        Reply(503, body=b"no"), Reply(301, {"Location": receiver.url("/elsewhere")}), Reply(404, body=b"never")
    )
    await cancelled(newcomer)

    (delivery,) = await hook.settled()

    assert delivery["status"] == "failed"
    assert (delivery["attemptCount"], delivery["lastStatusCode"], delivery["lastError"]) == (3, 404, None)
    shown = await hook.delivery(delivery["deliveryId"])
    assert [(attempt["number"], attempt["statusCode"], attempt["reply"]) for attempt in shown["attempts"]] == [
        (1, 503, "no"),
        (2, 301, ""),
        (3, 404, "never"),
    ]
    assert all(attempt["duration"] >= 0 and attempt["error"] is None for attempt in shown["attempts"])
    assert len(hook.arrivals) == 3
    assert receiver.at("/elsewhere") == []


async def test_a_receiver_that_is_away_is_an_error_in_the_log(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy={"maxRetries": 0})
    await receiver.stop()
    await cancelled(newcomer)

    (delivery,) = await hook.settled()

    assert (delivery["status"], delivery["lastStatusCode"], delivery["attemptCount"]) == ("failed", None, 1)
    assert delivery["lastError"]


@pytest.mark.contract("X-075")
async def test_an_event_has_one_id_everywhere_and_another_event_another(newcomer: Api, receiver: Receiver) -> None:
    hooks = [await Hook.registered(newcomer, receiver, "execution.cancelled") for _ in range(2)]
    await cancelled(newcomer)
    await cancelled(newcomer)

    ids = [[arrival.message_id for arrival in await hook.got(2)] for hook in hooks]

    assert sorted(ids[0]) == sorted(ids[1])
    assert len(set(ids[0])) == 2


@pytest.mark.contract("X-076")
async def test_no_receiver_gets_more_than_ten_requests_in_any_second(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled")
    executions = {await cancelled(newcomer) for _ in range(30)}

    log = await hook.settled(30)

    times = [arrival.at for arrival in hook.arrivals]
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[10:], strict=False))
    assert {arrival.json["executionId"] for arrival in hook.arrivals} == executions
    assert len(times) == 30
    assert {one["status"] for one in log} == {"delivered"}


@pytest.mark.contract("X-039", "X-040")
async def test_a_webhook_is_validated_by_one_signed_request(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver)

    valid = await hook.post("validate")

    (arrival,) = hook.arrivals
    assert arrival.verified(SECRET)["event"] == "webhook.test"
    assert valid == {
        "webhookId": hook.webhook_id,
        "status": "valid",
        "responseCode": 200,
        "responseTime": valid["responseTime"],
        "lastValidatedAt": (await hook.state())["lastValidatedAt"],
    }
    assert isinstance(valid["responseTime"], int)
    hook.answers(500)
    invalid = await hook.post("validate")
    assert (invalid["status"], invalid["responseCode"]) == ("invalid", 500)
    assert len(hook.arrivals) == 2
    await receiver.stop()
    down = await hook.post("validate")
    assert set(down) == set(valid)
    assert (down["status"], down["responseCode"]) == ("invalid", None)
    assert down["lastValidatedAt"] == (await hook.state())["lastValidatedAt"]
    assert await hook.log() == []


async def test_a_paused_webhook_can_be_validated(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, active=False)

    assert (await hook.post("validate"))["status"] == "valid"


@pytest.mark.parametrize("event", [*OF_EXECUTIONS, "test_case.created", "milestone.completed", "webhook.disabled"])
async def test_a_sample_of_any_event_is_delivered(newcomer: Api, receiver: Receiver, event: str) -> None:
    hook = await Hook.registered(newcomer, receiver, "shard.completed")

    queued = await hook.post("sample", {"event": event})

    assert (queued["event"], queued["status"], queued["attemptCount"]) == (event, "pending", 0)
    (arrival,) = await hook.got()
    assert arrival.verified(SECRET)["event"] == event
    assert arrival.message_id == queued["messageId"]
    (delivery,) = await hook.settled()
    assert (delivery["deliveryId"], delivery["status"]) == (queued["deliveryId"], "delivered")


async def test_samples_and_recoveries_are_refused_by_name(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver)

    for action, body, wrong in (
        ("sample", {}, "event"),
        ("sample", {"event": "webhook.test"}, "event"),
        ("recover", {}, "since"),
        ("recover", {"since": "yesterday"}, "since"),
        ("recover", {"since": "0001-01-01T00:00:00+01:00"}, "since"),
    ):
        answer = await newcomer.post(f"{hook.place}/{action}", body)
        assert (answer.status, list(answer.fields)) == (422, [wrong])
    assert await hook.log() == []


@pytest.mark.contract("X-085")
async def test_what_sends_is_carried_out_once_for_a_key(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy={"maxRetries": 0})

    async def post_twice(action: str, body: Any = None) -> Any:
        headers = {"Idempotency-Key": uuid4().hex}
        first = await hook.post(action, body, headers=headers)
        # What comes of it meanwhile does not change the second answer.
        await hook.settled(len(await hook.log()))
        assert await hook.post(action, body, headers=headers) == first
        return first

    await post_twice("validate")
    assert len(hook.arrivals) == 1
    hook.answers(500)
    sample = await post_twice("sample", {"event": "shard.started"})
    assert len(hook.arrivals) == 2
    await post_twice(f"deliveries/{sample['deliveryId']}/redeliver")
    assert len(hook.arrivals) == 3
    assert await post_twice("recover", {"since": LONG_AGO}) == {"queued": 1}
    await hook.settled()
    assert len(hook.arrivals) == 4


async def test_a_key_is_for_one_request(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver)
    headers = {"Idempotency-Key": uuid4().hex}
    await hook.post("sample", {"event": "shard.started"}, headers=headers)

    reused = await newcomer.post(f"{hook.place}/sample", {"event": "shard.completed"}, headers=headers)

    assert (reused.status, reused.error["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert [one["event"] for one in await hook.log()] == ["shard.started"]
