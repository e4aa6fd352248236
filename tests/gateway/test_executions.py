"""Create, look, list and cancel, as the documents have it."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrator.identity.roles import Role
from tests.gateway.conftest import CREATION, Api, TokenMaker, moment
from tests.patience import eventually

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.contract("X-001", "X-006", "X-007", "X-008", "X-081")
async def test_a_creation_answers_what_is_documented(api: Api) -> None:
    answer = await api.post("/api/executions", CREATION)

    assert answer.status == 201
    created = answer.json
    assert list(created) == ["executionId", "status", "createdAt", "configuration", "webhookUrl", "webhookToken"]
    assert re.fullmatch(r"exec_\d{8,}", created["executionId"])
    assert created["status"] == "created"
    assert re.fullmatch(MOMENT, created["createdAt"])
    assert created["configuration"] == {
        "testSuite": "smoke",
        "environment": "staging",
        "shards": 4,
        "timeout": 1800000,
    }
    assert (await api.create())["executionId"] != created["executionId"]


@pytest.mark.contract("X-009", "X-010")
async def test_the_webhook_url_and_token_work_and_differ_per_execution(api: Api) -> None:
    first, second = await api.create(), await api.create()

    assert first["webhookUrl"] == f"{api.url}/api/webhooks/executions/{first['executionId']}"
    assert re.fullmatch(r"wh_token_.{12,}", first["webhookToken"])
    assert first["webhookToken"] != second["webhookToken"]
    assert (await api.tell(first, "execution.started")).status == 200
    assert first["webhookToken"] not in str(await api.state(first["executionId"]))


@pytest.mark.contract("X-009")
async def test_urls_begin_with_the_host_the_client_used(api: Api) -> None:
    answer = await api.post("/api/executions", CREATION, headers={"Host": "tms.example:8443"})
    forwarded = await api.post("/api/executions", CREATION, headers={"X-Forwarded-Host": "evil.example"})
    bad = await api.post("/api/executions", CREATION, headers={"Host": "a b/c"})

    assert answer.json["webhookUrl"].startswith("http://tms.example:8443/api/webhooks/")
    assert forwarded.json["webhookUrl"].startswith(api.url)
    assert (bad.status, bad.error["code"]) == (400, "BAD_REQUEST")


@pytest.mark.contract("X-011", "X-012", "X-013", "X-014", "X-015")
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("testSuite", ["smoke", "regression", "api", "ui", "all"]),
        ("environment", ["dev", "staging", "production"]),
        ("provider", ["custom-ci", "custom-runner", "python-runner", "github-actions"]),
        ("triggerSource", ["api", "manual", "scheduled", None]),
    ],
)
async def test_every_documented_word_is_accepted(api: Api, field: str, values: list[str | None]) -> None:
    for value in values:
        execution_id = (await api.create(**{field: value}))["executionId"]
        assert (await api.state(execution_id))[field] == value


@pytest.mark.contract("X-013", "X-015", "X-017", "X-066")
async def test_what_was_sent_travels_into_the_events(api: Api) -> None:
    created = await api.create(provider="github-actions", metadata={"branch": "main", "free": [1, {"a": None}]})
    await api.tell(created, "execution.started")

    listed = (await api.get(f"/api/executions/{created['executionId']}/events")).json["events"]

    assert [event["event"] for event in listed] == ["execution.created", "execution.started"]
    assert listed[1]["data"] == {
        "testSuite": "smoke",
        "environment": "staging",
        "provider": "github-actions",
        "configuration": {"shards": 4, "browsers": ["chromium", "firefox", "webkit"], "parallel": True},
        "metadata": {"branch": "main", "free": [1, {"a": None}]},
    }


@pytest.mark.contract("X-016", "X-096")
async def test_all_but_three_fields_have_defaults(api: Api) -> None:
    short = {"testSuite": "smoke", "environment": "staging", "provider": "custom-ci"}
    configurations: list[Any] = [None, {}, {"shards": 4, "timeout": 1800000}]
    for extra in ({}, *({"configuration": one} for one in configurations)):
        answer = await api.post("/api/executions", short | extra)
        assert answer.status == 201
        assert answer.json["configuration"]["shards"] >= 1
        assert answer.json["configuration"]["timeout"] == 1800000


@pytest.mark.contract("X-011", "X-012", "X-014", "X-015", "X-016")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"testSuite": "nightly"}, "testSuite"),
        ({"environment": "qa"}, "environment"),
        ({"triggerSource": "cron"}, "triggerSource"),
        ({"configuration": {"browsers": ["ie6"]}}, "configuration.browsers[0]"),
        ({"configuration": {"shards": 0}}, "configuration.shards"),
        ({"configuration": {"shards": 100_000}}, "configuration.shards"),
        ({"configuration": {"shards": "4x"}}, "configuration.shards"),
        ({"configuration": {"timeout": 0}}, "configuration.timeout"),
        ({"metadata": "main"}, "metadata"),
        ({"metadata": {"a": "x" * 70_000}}, "metadata"),
        ({"provider": "a\0b"}, "provider"),
    ],
)
async def test_wrong_values_are_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    answer = await api.post("/api/executions", CREATION | body)

    assert answer.status == 422
    assert list(answer.fields) == [field]


@pytest.mark.contract("X-018", "X-019", "X-020", "X-022")
async def test_a_fresh_execution_has_all_keys(api: Api) -> None:
    created = await api.create(configuration={"shards": 2})

    state = await api.state(created["executionId"])

    documented = ["executionId", "status", "progress", "results", "shardResults", "artifacts"]
    assert list(state)[: len(documented)] == documented
    assert state["status"] == "created"
    assert state["progress"] == {
        "startedAt": None,
        "completedAt": None,
        "duration": None,
        "shardsCompleted": 0,
        "totalShards": 2,
    }
    assert state["results"] == {"total": 0, "passed": 0, "failed": 0, "skipped": 0, "flaky": 0}
    assert [shard["shardId"] for shard in state["shardResults"]] == ["1", "2"]
    assert state["metadata"] == CREATION["metadata"]
    assert state["createdAt"] == created["createdAt"]


@pytest.mark.contract("X-019", "X-020", "X-021", "X-022")
async def test_an_execution_goes_from_created_to_completed(api: Api) -> None:
    created = await api.create(configuration={"shards": 2})
    execution_id = created["executionId"]
    started = moment()

    await api.tell(created, "execution.started", timestamp=started)
    state = await api.state(execution_id)
    assert (state["status"], state["progress"]["startedAt"]) == ("running", started)
    assert state["progress"]["completedAt"] is None

    await api.submit(execution_id, "1")
    state = await api.state(execution_id)
    assert (state["progress"]["shardsCompleted"], state["progress"]["totalShards"]) == (1, 2)

    await api.submit(execution_id, "2", results={"total": 10, "passed": 7, "failed": 1, "skipped": 2, "flaky": 1})
    state = await api.state(execution_id)
    assert state["status"] == "completed"
    assert state["results"] == {"total": 13, "passed": 9, "failed": 2, "skipped": 2, "flaky": 1}
    assert [shard["results"]["total"] for shard in state["shardResults"]] == [3, 10]
    assert state["progress"]["duration"] == _milliseconds(state["progress"])


def _milliseconds(progress: Any) -> int:
    spent = datetime.fromisoformat(progress["completedAt"]) - datetime.fromisoformat(progress["startedAt"])
    return spent // timedelta(milliseconds=1)


@pytest.mark.contract("X-019")
async def test_an_execution_fails_and_is_cancelled(api: Api) -> None:
    failed, cancelled = await api.create(), await api.create()

    await api.tell(failed, "execution.failed", {"reason": "no browsers"})
    await api.delete(f"/api/executions/{cancelled['executionId']}")

    state = await api.state(failed["executionId"])
    assert (state["status"], state["reason"], state["reasonCode"]) == ("failed", "no browsers", "reported")
    assert (await api.state(cancelled["executionId"]))["status"] == "cancelled"


@pytest.mark.contract("X-030")
async def test_an_execution_that_never_reports_fails_in_time(api: Api) -> None:
    silent = await api.create(configuration={"shards": 2, "timeout": 1000})
    await api.tell(silent, "shard.started", {"shardId": "2"})

    async def has_failed() -> bool:
        return bool((await api.state(silent["executionId"]))["status"] == "failed")

    await eventually(has_failed)
    state = await api.state(silent["executionId"])
    assert (state["reasonCode"], state["progress"]["duration"] >= 1000) == ("timeout", True)
    assert [shard["status"] for shard in state["shardResults"]] == ["lost", "lost"]
    events = (await api.get(f"/api/executions/{silent['executionId']}/events")).json["events"]
    assert events[-1]["event"] == "execution.failed"
    assert (events[-1]["data"]["lostShards"], events[-1]["data"]["missingShards"]) == (["2"], ["1"])


@pytest.mark.contract("X-024", "X-083")
@pytest.mark.parametrize("execution_id", ["exec_1", "exec_%00", "..%2F", "%ff", "x" * 300, "%E2%82%AC"])
async def test_an_unknown_execution_is_not_found(api: Api, execution_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/tests"), ("GET", "/events")):
        answer = await api.send(method, f"/api/executions/{execution_id}{path}")
        assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.contract("X-025", "X-026")
async def test_another_tenants_execution_is_invisible(api: Api, stranger: Api) -> None:
    execution_id = await api.created()

    for method, path in (
        ("GET", f"/api/executions/{execution_id}"),
        ("DELETE", f"/api/executions/{execution_id}"),
        ("GET", f"/api/executions/{execution_id}/tests"),
        ("GET", f"/api/executions/{execution_id}/events"),
        ("GET", f"/reports/{execution_id}"),
        ("GET", f"/reports/{execution_id}/shard-1"),
        ("GET", f"/logs/{execution_id}"),
        ("GET", f"/artifacts/{execution_id}"),
    ):
        assert (await stranger.send(method, path)).status == 404
    assert (await stranger.submit(execution_id)).status == 404
    assert (await stranger.get("/api/executions")).json == {"executions": [], "nextCursor": None}
    assert (await api.state(execution_id))["status"] == "created"


@pytest.mark.contract("X-027")
async def test_a_cancellation_answers_four_keys_and_stays_readable(api: Api) -> None:
    created = await api.create()
    await api.tell(created, "execution.started")

    answer = await api.delete(f"/api/executions/{created['executionId']}")

    assert answer.status == 200
    assert answer.json == {
        "executionId": created["executionId"],
        "status": "cancelled",
        "cancelledAt": answer.json["cancelledAt"],
        "reason": "User requested cancellation",
    }
    assert re.fullmatch(MOMENT, answer.json["cancelledAt"])
    state = await api.state(created["executionId"])
    assert (state["status"], state["progress"]["completedAt"]) == ("cancelled", answer.json["cancelledAt"])


async def test_a_cancellation_may_bring_a_reason(api: Api) -> None:
    execution_id = await api.created()

    answer = await api.delete(f"/api/executions/{execution_id}", {"reason": "wrong branch"})

    assert answer.json["reason"] == "wrong branch"
    assert (await api.state(execution_id))["reason"] == "wrong branch"


@pytest.mark.contract("X-028", "X-082")
async def test_what_has_ended_cannot_be_cancelled(api: Api) -> None:
    execution_id = await api.created()
    await api.delete(f"/api/executions/{execution_id}")

    again = await api.delete(f"/api/executions/{execution_id}")

    assert (again.status, again.error["code"]) == (409, "CONFLICT")


@pytest.mark.contract("X-029")
async def test_late_results_do_not_revive_what_was_cancelled(api: Api) -> None:
    execution_id = await api.created()
    await api.delete(f"/api/executions/{execution_id}")

    late = await api.submit(execution_id)

    assert late.status == 409
    state = await api.state(execution_id)
    assert (state["status"], state["results"]["total"]) == ("cancelled", 0)


@pytest.mark.contract("X-026")
async def test_executions_are_listed_newest_first_in_pages(api: Api, token_for: TokenMaker) -> None:
    mine = api.with_token(await token_for(tenant=None))
    made = [await mine.created() for _ in range(5)]

    seen: list[str] = []
    params = {"limit": "2"}
    page: Any = None
    for _ in range(3):
        page = (await mine.get("/api/executions", params=params)).json
        seen += [execution["executionId"] for execution in page["executions"]]
        await mine.created()  # comes before the first page, so no later page shifts
        params = {"limit": "2", "cursor": str(page["nextCursor"])}

    assert seen == made[::-1]
    assert page["nextCursor"] is None


async def test_a_list_prints_executions_as_they_are_printed_alone(api: Api, token_for: TokenMaker) -> None:
    mine = api.with_token(await token_for(tenant=None))
    execution_id = await mine.created()

    assert (await mine.get("/api/executions")).json["executions"] == [await mine.state(execution_id)]


async def test_executions_are_filtered(api: Api, token_for: TokenMaker) -> None:
    mine = api.with_token(await token_for(tenant=None))
    wanted = await mine.create(testSuite="ui", environment="dev", metadata={"branch": "b1", "commit": "c1"})
    await mine.create(testSuite="api", environment="production", metadata={"branch": "b2"})
    created_at = wanted["createdAt"]
    await mine.tell(wanted, "execution.started")

    for params in (
        {"testSuite": "ui"},
        {"environment": "dev"},
        {"status": "running"},
        {"branch": "b1"},
        {"commit": "c1"},
        {"to": created_at.replace("Z", "9Z"), "testSuite": "ui"},
        {"from": created_at, "testSuite": "ui", "environment": "dev", "status": "running", "branch": "b1"},
    ):
        listed = (await mine.get("/api/executions", params=params)).json["executions"]
        assert [execution["executionId"] for execution in listed] == [wanted["executionId"]], params
    for params in ({"testSuite": "smoke"}, {"to": created_at}, {"from": "2199-01-01T00:00:00Z"}, {"branch": "b"}):
        assert (await mine.get("/api/executions", params=params)).json["executions"] == []


async def test_executions_are_filtered_by_what_came_of_them(api: Api, token_for: TokenMaker) -> None:
    mine = api.with_token(await token_for(tenant=None))
    passed, failed, broken, cancelled, running = [await mine.created(shards=1) for _ in range(5)]
    await mine.submit(passed, tests=[{"title": "pays", "status": "passed"}])
    await mine.submit(failed, status="failed", tests=[{"title": "pays", "status": "failed"}])
    await mine.submit(broken, status="error")
    await mine.delete(f"/api/executions/{cancelled}")

    async def listed(**params: str) -> list[str]:
        page = (await mine.get("/api/executions", params=params)).json
        return [execution["executionId"] for execution in page["executions"]]

    assert await listed(ended="true") == [cancelled, broken, failed, passed]
    assert await listed(ended="false") == [running]
    assert await listed(result="failing") == [broken, failed]
    assert await listed(result="failing", status="completed") == [failed]
    assert await listed(result="passing") == [passed]


async def test_wrong_filters_are_named(api: Api) -> None:
    answer = await api.get(
        "/api/executions",
        params={"testSuite": "x", "status": "x", "limit": "201", "from": "today", "cursor": "x", "branch": "\0"},
    )

    assert answer.status == 422
    assert set(answer.fields) == {"testSuite", "status", "limit", "from", "branch"}
    for cursor in ("x", "bnVsbA", "WyIyMDI1IiwxXQ", "[]"):
        assert list((await api.get("/api/executions", params={"cursor": cursor})).fields) == ["cursor"]


@pytest.mark.contract("X-005")
async def test_a_viewer_may_look_and_not_write(api: Api, token_for: TokenMaker) -> None:
    execution_id = await api.created()
    viewer = api.with_token(await token_for(Role.VIEWER))

    assert (await viewer.get(f"/api/executions/{execution_id}")).status == 200
    refused = await viewer.post("/api/executions", CREATION)
    assert (refused.status, refused.error["code"]) == (403, "FORBIDDEN")
    assert "executions:write" in refused.error["message"]
    assert (await viewer.submit(execution_id)).status == 403
    assert (await viewer.delete(f"/api/executions/{execution_id}")).status == 403
