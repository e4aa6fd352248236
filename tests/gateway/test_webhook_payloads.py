"""What webhooks are told: the documented bodies, to whom they go, and how they are signed."""

import hmac

import pytest
from standardwebhooks import WebhookVerificationError

from tests.gateway.conftest import Api, moment, outcomes
from tests.gateway.hooks import SECRET, Hook, cancelled, deliveries_of
from tests.receiver import Receiver


@pytest.mark.contract("X-051", "X-066", "X-073")
async def test_the_start_of_an_execution_as_documented(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.started")
    execution = await newcomer.create()
    started = moment()

    await newcomer.tell(execution, "execution.started", timestamp=started)

    (arrival,) = await hook.got()
    assert list(arrival.json) == ["event", "timestamp", "executionId", "data"]
    assert arrival.json == {
        "event": "execution.started",
        "timestamp": started,
        "executionId": execution["executionId"],
        "data": {
            "testSuite": "smoke",
            "environment": "staging",
            "provider": "custom-ci",
            "configuration": {"shards": 4, "browsers": ["chromium", "firefox", "webkit"], "parallel": True},
            "metadata": {
                "branch": "feature/new-feature",
                "commit": "abc123",
                "buildNumber": "456",
                "triggeredBy": "dev@a.test",
            },
        },
    }


@pytest.mark.contract("X-068", "X-069", "X-070", "X-073")
async def test_an_execution_is_told_of_from_its_first_shard_to_its_end(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "shard.started", "shard.completed", "execution.completed")
    execution = await newcomer.create(configuration={"shards": 1})
    execution_id = execution["executionId"]

    await newcomer.tell(execution, "shard.started", {"shardId": "1"})
    await newcomer.submit(execution_id, "1", tests=outcomes(2, 1), metadata={"duration": 1500})

    await hook.settled(3)
    told = {arrival.json["event"]: arrival.json for arrival in hook.arrivals}
    assert list(told) == ["shard.started", "shard.completed", "execution.completed"]
    assert all(set(body) == {"event", "timestamp", "executionId", "data"} for body in told.values())
    assert told["shard.started"]["data"]["shardId"] == "1"
    counters = {"total": 3, "passed": 2, "failed": 1, "skipped": 0, "flaky": 0}
    report = f"{newcomer.url}/reports/{execution_id}"
    assert told["shard.completed"]["data"] == {
        "shardId": "1",
        "status": "completed",
        "results": counters,
        "duration": 1500,
        "artifacts": {"reportUrl": f"{report}/shard-1"},
    }
    completed = told["execution.completed"]["data"]
    assert completed == {
        "status": "completed",
        "results": counters,
        "duration": completed["duration"],
        "shardResults": [{"shardId": "1", "status": "completed", "results": counters}],
        "artifacts": {
            "reportUrl": report,
            "logsUrl": f"{newcomer.url}/logs/{execution_id}",
            "artifactsUrl": f"{newcomer.url}/artifacts/{execution_id}",
        },
        "failedTests": [{"title": "failed 1", "file": "tests/failed.spec.js", "error": None, "shard": "1"}],
    }
    for url in (f"{report}/shard-1", *completed["artifacts"].values()):
        assert (await newcomer.get(url)).status == 200


@pytest.mark.contract("X-071", "X-072")
async def test_bad_ends_are_told_once(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.failed", "execution.cancelled")
    failed, called_off = await newcomer.created(), await newcomer.created()

    for _ in range(2):
        await newcomer.submit(failed, "1", status="error")
        await newcomer.delete(f"/api/executions/{called_off}", {"reason": "wrong branch"})

    assert len(await hook.settled(2)) == 2
    told = {arrival.json["event"]: arrival.json for arrival in hook.arrivals}
    assert len(hook.arrivals) == 2
    assert told["execution.failed"]["executionId"] == failed
    assert told["execution.failed"]["data"]["reasonCode"] == "shard_error"
    assert told["execution.cancelled"]["executionId"] == called_off
    assert told["execution.cancelled"]["data"]["reason"] == "wrong branch"


@pytest.mark.contract("X-060")
async def test_a_submission_counts_the_deliveries_it_caused(newcomer: Api, receiver: Receiver) -> None:
    execution_id = await newcomer.created(shards=3)
    none = await newcomer.submit(execution_id, "1")
    hooks = [await Hook.registered(newcomer, receiver, "shard.completed") for _ in range(2)]
    await Hook.registered(newcomer, receiver, "execution.failed")
    await Hook.registered(newcomer, receiver, "shard.completed", active=False)

    two = await newcomer.submit(execution_id, "2")

    assert [answer.json["summary"]["webhooksTriggered"] for answer in (none, two)] == [0, 2]
    for hook in hooks:
        (arrival,) = await hook.got()
        assert arrival.json["data"]["shardId"] == "2"


@pytest.mark.contract("X-035")
async def test_filters_limit_what_is_told(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(
        newcomer,
        receiver,
        "execution.cancelled",
        filters={"testSuites": ["smoke"], "environments": ["staging"], "branches": ["main"], "statuses": ["cancelled"]},
    )
    main = {"metadata": {"branch": "main"}}

    others = [
        await cancelled(newcomer, testSuite="regression", **main),
        await cancelled(newcomer, environment="dev", **main),
        await cancelled(newcomer, metadata={"branch": "other"}),
        await cancelled(newcomer, metadata=None),
    ]
    wanted = await cancelled(newcomer, **main)

    assert [one["executionId"] for one in await hook.settled()] == [wanted]
    assert [arrival.json["executionId"] for arrival in hook.arrivals] == [wanted]
    assert [await deliveries_of(newcomer, execution_id) for execution_id in others] == [[]] * 4


@pytest.mark.contract("X-042")
async def test_nothing_comes_after_a_deletion(newcomer: Api, receiver: Receiver) -> None:
    hook, other = [await Hook.registered(newcomer, receiver, "execution.cancelled") for _ in range(2)]
    await cancelled(newcomer)
    await hook.got()

    await newcomer.delete(hook.place)
    execution_id = await cancelled(newcomer)

    await other.got(2)
    assert [one["webhookId"] for one in await deliveries_of(newcomer, execution_id)] == [other.webhook_id]
    assert len(hook.arrivals) == 1


async def test_other_tenants_are_told_nothing(newcomer: Api, stranger: Api, receiver: Receiver) -> None:
    mine, theirs = [await Hook.registered(who, receiver, "execution.cancelled") for who in (newcomer, stranger)]

    await cancelled(stranger)
    execution_id = await cancelled(newcomer)

    assert [arrival.json["executionId"] for arrival in await mine.got()] == [execution_id]
    assert [one["executionId"] == execution_id for one in await theirs.settled()] == [False]


@pytest.mark.contract("X-074")
@pytest.mark.parametrize(
    "secret", [SECRET, "größer als sechzehn", "whsec_dG1zIHdlYmhvb2sgdGVzdCB2ZWN0b3IsIDMyIGJ5dGU="]
)
async def test_deliveries_are_signed_with_the_secret(newcomer: Api, receiver: Receiver, secret: str) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled", secret=secret)
    await cancelled(newcomer, metadata={"note": "größe ✓"})

    (arrival,) = await hook.got()

    assert arrival.verified(secret) == arrival.json
    with pytest.raises(WebhookVerificationError):
        arrival.verified("another secret of mine")
    if not secret.startswith("whsec_"):
        mac = hmac.new(secret.encode(), arrival.body, "sha256").hexdigest()
        assert arrival.headers["x-tms-signature"] == f"sha256={mac}"
    assert arrival.headers["x-tms-event"] == "execution.cancelled"
    assert arrival.headers["content-type"] == "application/json"


async def test_both_secrets_verify_while_a_rotation_overlaps(newcomer: Api, receiver: Receiver) -> None:
    hook = await Hook.registered(newcomer, receiver, "execution.cancelled")
    fresh = (await hook.post("rotate-secret"))["secret"]

    await cancelled(newcomer)
    (first,) = await hook.got()
    assert first.verified(SECRET) == first.verified(fresh) == first.json

    await hook.post("rotate-secret", {"secret": "a secret of my own", "overlapSeconds": 0})
    await cancelled(newcomer)
    _, second = await hook.got(2)
    assert second.verified("a secret of my own") == second.json
    for former in (SECRET, fresh):
        with pytest.raises(WebhookVerificationError):
            second.verified(former)
