"""The delivery log, and the ways back for what did not arrive."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from storage import postgres
from storage.delivery_log import RECOVERED_AT_ONCE
from tests.gateway.conftest import Api
from tests.gateway.hooks import Hook, cancelled, deliveries_of
from tests.receiver import Receiver, Reply
from tests.running import RunningServer

LONG_AGO = "2025-08-04T00:00:00Z"


async def test_a_delivery_is_shown_with_all_that_happened(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy={"schedule": [0]})
    hook.answers(Reply(500, body="größe".encode()), Reply(201, body=b"\xff\0" + b"x" * 10_000))
    execution_id = await cancelled(newcomer, metadata={"note": "größe ✓"})
    (delivery,) = await hook.settled()

    shown = await hook.delivery(delivery["deliveryId"])

    assert shown == delivery | {"body": hook.arrivals[0].json, "attempts": shown["attempts"]}
    assert delivery == {
        "deliveryId": delivery["deliveryId"],
        "webhookId": hook.webhook_id,
        "messageId": hook.arrivals[0].message_id,
        "event": "execution.cancelled",
        "executionId": execution_id,
        "status": "delivered",
        "attemptCount": 2,
        "createdAt": delivery["createdAt"],
        "nextAttemptAt": None,
        "endedAt": delivery["endedAt"],
        "lastStatusCode": 201,
        "lastError": None,
    }
    first, second = shown["attempts"]
    assert set(first) == {"number", "at", "duration", "statusCode", "error", "reply"}
    assert (first["number"], first["statusCode"], first["reply"]) == (1, 500, "größe")
    assert (second["number"], second["statusCode"]) == (2, 201)
    assert 8000 <= len(second["reply"]) <= 8192
    assert delivery["createdAt"] <= first["at"] <= second["at"] <= delivery["endedAt"]
    assert (await newcomer.get(f"{hook.place}/deliveries/{delivery['deliveryId']}")).raw.count(
        hook.arrivals[0].body
    ) == 1


async def test_the_log_is_filtered_and_paged(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, retryPolicy={"maxRetries": 0})
    hook.answers(200, 500, 200)
    executions = [await cancelled(newcomer) for _ in range(4)]
    everything = await hook.settled(4)
    await hook.post("sample", {"event": "shard.started"})
    await hook.settled(5)

    async def ids(**params: str) -> list[str]:
        return [one["deliveryId"] for one in await hook.log(**params)]

    cancellations = [one["deliveryId"] for one in everything]
    assert await ids(event="execution.cancelled") == cancellations
    assert len(await ids(event="shard.started")) == 1
    assert len(await ids(status="failed")) == 1
    assert len(await ids(status="delivered")) == 4
    assert [one["deliveryId"] for one in await deliveries_of(newcomer, executions[0])] == cancellations[-1:]
    assert await ids(executionId=executions[3]) == cancellations[:1]
    assert await ids(to=everything[1]["createdAt"], event="execution.cancelled") == cancellations[2:]
    assert (await ids(**{"from": everything[1]["createdAt"]}))[1:] == cancellations[:2]
    assert await deliveries_of(newcomer, executions[0], status="missed") == []
    seen: list[str] = []
    params = {"limit": "2"}
    while True:
        page = (await newcomer.get(f"{hook.place}/deliveries", params=params)).json
        seen += [one["deliveryId"] for one in page["deliveries"]]
        if page["nextCursor"] is None:
            break
        params = {"limit": "2", "cursor": page["nextCursor"]}
    assert seen == await ids()
    for wrong in ({"status": "lost"}, {"event": "x"}, {"from": "x"}, {"limit": "201"}, {"cursor": "WzFd"}):
        answer = await newcomer.get(f"{hook.place}/deliveries", params=wrong)
        assert (answer.status, list(answer.fields)) == (422, list(wrong))
    for position in (["2026-01-01T00:00:00Z", 2**63], ["0001-01-01T00:00:00+01:00", 1], ["2026-01-01T00:00:00", 1]):
        cursor = urlsafe_b64encode(json.dumps(position).encode()).decode()
        assert (await newcomer.get(f"{hook.place}/deliveries", params={"cursor": cursor})).status == 422


async def test_a_delivery_is_sent_again_with_the_same_id(newcomer: Api, receiver: Receiver) -> None:
    hook, other = [await Hook.registered(newcomer, receiver, "execution.cancelled") for _ in range(2)]
    await cancelled(newcomer)
    (delivery,) = await hook.settled()
    again = f"deliveries/{delivery['deliveryId']}/redeliver"

    queued = await hook.post(again)

    assert queued["deliveryId"] == delivery["deliveryId"]
    first, second = await hook.got(2)
    assert (first.message_id, first.body) == (second.message_id, second.body)
    (redelivered,) = await hook.settled()
    assert (redelivered["status"], redelivered["attemptCount"]) == ("delivered", 2)
    for place in (f"{other.place}/{again}", f"{hook.place}/deliveries/dlv_0/redeliver"):
        assert (await newcomer.post(place)).status == 404
    assert (await newcomer.get(f"{other.place}/deliveries/{delivery['deliveryId']}")).status == 404


async def test_all_that_failed_or_was_missed_is_recovered_in_one_call(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy={"maxRetries": 0})
    early = await cancelled(newcomer)
    await hook.settled()
    hook.answers(500)
    since = (datetime.now(UTC) + timedelta(milliseconds=1)).isoformat()
    failed = [await cancelled(newcomer) for _ in range(2)]
    await hook.settled(3)
    await newcomer.patch(hook.place, {"status": "inactive"})
    missed = await cancelled(newcomer)
    assert [one["status"] for one in await hook.settled(4)] == ["missed", "failed", "failed", "delivered"]
    assert len(hook.arrivals) == 3
    hook.answers(200)
    await newcomer.patch(hook.place, {"status": "active"})

    assert await hook.post("recover", {"since": since}) == {"queued": 3}

    assert {one["status"] for one in await hook.settled(4)} == {"delivered"}
    told = [arrival.json["executionId"] for arrival in hook.arrivals]
    assert sorted(told[3:]) == sorted([*failed, missed])
    assert told[0] == early
    assert await hook.post("recover", {"since": LONG_AGO}) == {"queued": 0}


async def test_an_outage_of_any_length_is_recovered_in_one_call(
    newcomer: Api, receiver: Receiver, server: RunningServer
) -> None:
    hook = await Hook.registered(newcomer, receiver)
    hook.answers(410)  # so that the rest of them rests
    number = RECOVERED_AT_ONCE + 1
    async with postgres.connected(server.database_url) as connection:
        await connection.execute(
            "WITH told AS (INSERT INTO webhook_messages (message_id, tenant_id, event, body, created_at)"
            " SELECT 'msg_' || webhook_id || n, tenant_id, 'shard.started', '{}', created_at"
            " FROM webhooks, generate_series(1, $2::int) AS n WHERE webhook_id = $1 RETURNING *)"
            " INSERT INTO webhook_deliveries"
            " (delivery_id, tenant_id, webhook_id, message_id, event, status, created_at, ended_at)"
            " SELECT 'dlv_' || message_id, tenant_id, $1, message_id, event, 'missed', created_at, created_at"
            " FROM told",
            *(hook.webhook_id, number),
        )

    assert await hook.post("recover", {"since": LONG_AGO}) == {"queued": number}

    assert await hook.log(status="missed") == []
    await newcomer.delete(hook.place)


async def test_gone_disables_a_webhook_tells_the_others_and_there_is_a_way_back(
    newcomer: Api, receiver: Receiver
) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled")
    witness = await Hook.registered(newcomer, receiver, "webhook.disabled")
    hook.answers(410)
    await cancelled(newcomer)

    (told,) = await witness.got()

    assert set(told.json) == {"event", "timestamp", "data"}
    assert told.json["data"]["webhookId"] == hook.webhook_id
    assert told.json["data"]["reasonCode"] == "gone"
    (delivery,) = await hook.settled()
    assert (delivery["status"], delivery["attemptCount"]) == ("failed", 1)
    state = await hook.state()
    assert state["status"] == "disabled"
    assert state["statusReason"] == told.json["data"]["reason"]
    await cancelled(newcomer)
    assert [one["status"] for one in await hook.log()] == ["missed", "failed"]
    hook.answers(200)
    resumed = (await newcomer.patch(hook.place, {"status": "active"})).json
    assert (resumed["status"], resumed["statusReason"], resumed["failingSince"]) == ("active", None, None)
    assert await hook.post("recover", {"since": LONG_AGO}) == {"queued": 2}
    assert [one["status"] for one in await hook.settled(2)] == ["delivered"] * 2


async def test_a_failing_webhook_says_since_when(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", retryPolicy={"schedule": [0]})
    hook.answers(500)
    await cancelled(newcomer)
    (delivery,) = await hook.settled()

    first = (await hook.delivery(delivery["deliveryId"]))["attempts"][0]
    assert (await hook.state())["failingSince"] == first["at"]
    hook.answers(200)
    await hook.post(f"deliveries/{delivery['deliveryId']}/redeliver")
    await hook.settled()
    assert (await hook.state())["failingSince"] is None
