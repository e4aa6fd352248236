"""What runners tell with the webhook token, as the documents have it."""

from typing import Any

import pytest

from orchestrator.identity import webhook_tokens
from tests.gateway.conftest import Api, moment, outcomes
from tests.running import RunningServer

COUNTERS = {"total": 100, "passed": 95, "failed": 5, "skipped": 0}


@pytest.mark.contract("X-043", "X-047", "X-097")
async def test_the_documented_notifications_work(api: Api) -> None:
    execution = await api.create(configuration={"shards": 4, "timeout": 1800000})
    started = moment()

    begin = await api.tell(
        execution, "execution.started", {"status": "running", "provider": "custom-ci"}, timestamp=started
    )
    assert begin.status == 200
    assert begin.json == {
        "accepted": True,
        "applied": True,
        "executionId": execution["executionId"],
        "event": "execution.started",
        "status": "running",
    }
    state = await api.state(execution["executionId"])
    assert (state["status"], state["progress"]["startedAt"]) == ("running", started)

    end = await api.tell(execution, "execution.completed", {"status": "completed", "results": COUNTERS})
    assert end.json["status"] == "completed"
    assert (await api.state(execution["executionId"]))["results"] == COUNTERS | {"flaky": 0}


@pytest.mark.contract("X-044")
async def test_only_the_executions_own_webhook_token_opens_it(api: Api) -> None:
    execution, other = await api.create(), await api.create()
    body = {"event": "execution.started", "timestamp": moment()}

    for token in (None, "wh_token_nope", other["webhookToken"], api.token, execution["webhookToken"] + "x"):
        answer = await api.with_token(token).post(execution["webhookUrl"], body)
        assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    unreadable = await api.with_token("wh_token_nope").post(execution["webhookUrl"], raw=b"{")
    assert unreadable.status == 401
    assert (await api.state(execution["executionId"]))["status"] == "created"


@pytest.mark.contract("X-044")
async def test_a_webhook_token_opens_nothing_else(api: Api) -> None:
    execution = await api.create()
    runner = api.with_token(execution["webhookToken"])

    assert (await runner.get(f"/api/executions/{execution['executionId']}")).status == 401
    assert (await runner.submit(execution["executionId"])).status == 401


@pytest.mark.contract("X-045")
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"executionId": "exec_1"}, "executionId"),
        ({"event": "foo"}, "event"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+01:00"}, "timestamp"),
        ({"event": "shard.started", "data": {"shardId": "9"}}, "data.shardId"),
        ({"event": "shard.started"}, "data"),
        ({"event": "shard.completed", "data": {"shardId": "1", "results": {"total": "x"}}}, "data.results.total"),
        ({"event": "execution.progress", "data": {"x": "y" * 70_000}}, "data"),
    ],
)
async def test_wrong_events_are_refused_by_name(api: Api, fields: dict[str, Any], wrong: str) -> None:
    execution = await api.create()

    answer = await api.tell(execution, **{"event": "execution.started"} | fields)

    assert answer.status == 422
    assert list(answer.fields) == [wrong]
    assert (await api.state(execution["executionId"]))["seq"] == 1


async def test_the_execution_may_be_left_out_of_the_body(api: Api) -> None:
    execution = await api.create()

    assert (await api.tell(execution, "execution.started", executionId=None)).status == 200


@pytest.mark.contract("X-046")
@pytest.mark.parametrize(
    "timestamp", ["2025-08-04T12:34:56.789Z", "2025-08-04T12:34:56.789123Z", "2025-08-04T12:34:56Z"]
)
async def test_timestamps_of_the_documented_clients(api: Api, timestamp: str) -> None:
    execution = await api.create()

    assert (await api.tell(execution, "execution.started", timestamp=timestamp)).status == 200


@pytest.mark.contract("X-048", "X-049")
async def test_submitted_results_stand_whatever_the_runner_tells_after_them(api: Api) -> None:
    execution = await api.create(configuration={"shards": 2})
    execution_id = execution["executionId"]
    await api.submit(execution_id, "1", tests=outcomes(10))
    told = await api.tell(
        execution, "shard.completed", {"shardId": "1", "status": "completed", "results": {"total": 10, "passed": 10}}
    )
    assert told.json["applied"] is False
    await api.submit(execution_id, "2", tests=outcomes(3))

    end = await api.tell(execution, "execution.completed", {"status": "completed"})

    assert (end.status, end.json["applied"]) == (200, False)
    assert (await api.state(execution_id))["results"]["total"] == 13


@pytest.mark.contract("X-050")
async def test_events_told_twice_happen_once(api: Api) -> None:
    execution = await api.create()
    for event in ("execution.started", "execution.completed"):
        first = await api.tell(execution, event)
        second = await api.tell(execution, event)
        assert (first.json["applied"], second.json["applied"]) == (True, False)
        assert (first.status, second.status) == (200, 200)

    events = (await api.get(f"/api/executions/{execution['executionId']}/events")).json["events"]
    assert [event["event"] for event in events] == ["execution.created", "execution.started", "execution.completed"]


async def test_shards_are_told_of_without_results(api: Api) -> None:
    execution = await api.create(configuration={"shards": 2})
    execution_id = execution["executionId"]

    await api.tell(execution, "shard.started", {"shardId": 1})
    assert (await api.state(execution_id))["shardResults"][0]["status"] == "running"
    await api.tell(execution, "shard.completed", {"shardId": "1", "results": COUNTERS})
    state = await api.state(execution_id)
    assert (state["shardResults"][0]["status"], state["results"]["total"]) == ("completed", 100)


async def test_a_runners_progress_is_passed_on(api: Api) -> None:
    execution = await api.create()

    await api.tell(execution, "execution.progress", {"done": 0.5, "text": "half"})

    events = (await api.get(f"/api/executions/{execution['executionId']}/events")).json["events"]
    assert events[-1]["data"]["reported"] == {"done": 0.5, "text": "half"}


async def test_a_runner_may_call_its_execution_off(api: Api) -> None:
    execution = await api.create()

    for applied in (True, False):
        answer = await api.tell(execution, "execution.cancelled", {"reason": "pipeline stopped"})
        assert (answer.status, answer.json["applied"], answer.json["status"]) == (200, applied, "cancelled")
    assert (await api.tell(execution, "execution.progress", {})).status == 409
    state = await api.state(execution["executionId"])
    assert (state["reason"], state["reasonCode"]) == ("pipeline stopped", "cancelled_by_runner")


async def test_who_proves_to_hold_the_token_of_no_execution_is_told_so(api: Api, server: RunningServer) -> None:
    key = (server.data_dir / "secret-key").read_bytes()
    runner = api.with_token(webhook_tokens.token_of(key, "exec_1"))

    answer = await runner.post("/api/webhooks/executions/exec_1", {"event": "execution.started", "timestamp": moment()})

    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
