"""Results of shards, as the documents have them."""

import gzip
from typing import Any

import msgspec
import pytest

from tests.gateway.conftest import Api, moment, outcomes

DOCUMENTED: dict[str, Any] = {
    "shardId": "1",
    "provider": "custom-runner",
    "status": "completed",
    "results": {"total": 50, "passed": 45, "failed": 3, "skipped": 2, "flaky": 1},
    "tests": [
        {
            "title": "User login should work correctly",
            "file": "tests/auth/login.spec.js",
            "status": "failed",
            "duration": 2500,
            "error": "Expected element to be visible",
            "retries": 1,
            "tags": ["@smoke", "@critical"],
        }
    ],
    "artifacts": {
        "screenshots": ["screenshot1.png", "screenshot2.png"],
        "videos": ["test-execution.mp4"],
        "traces": ["trace.zip"],
        "logs": ["test.log"],
    },
    "metadata": {
        "browser": "chromium",
        "viewport": "1920x1080",
        "userAgent": "Mozilla/5.0...",
        "startTime": "2025-08-04T12:35:00.000Z",
        "endTime": "2025-08-04T12:40:30.000Z",
    },
}


@pytest.mark.contract("X-052", "X-058", "X-059", "X-060")
async def test_a_submission_answers_what_is_documented(api: Api) -> None:
    execution_id = await api.created()

    answer = await api.post("/api/results", DOCUMENTED | {"executionId": execution_id})

    assert answer.status == 201
    assert answer.json == {
        "submissionId": answer.json["submissionId"],
        "executionId": execution_id,
        "shardId": "1",
        "status": "accepted",
        "processedAt": answer.json["processedAt"],
        "summary": {"testsProcessed": 50, "artifactsUploaded": 4, "webhooksTriggered": 0},
    }
    assert answer.json["submissionId"].startswith("sub_")
    state = await api.state(execution_id)
    assert state["results"] == DOCUMENTED["results"]
    assert state["shardResults"][0]["duration"] == 330_000


@pytest.mark.contract("X-053", "X-064")
async def test_failed_tests_do_not_fail_an_execution_and_an_error_does(api: Api) -> None:
    ids = [await api.created(shards=1) for _ in range(3)]

    for execution_id, status in zip(ids, ("completed", "failed", "error"), strict=True):
        answer = await api.submit(execution_id, status=status, results={"total": 3, "passed": 1, "failed": 2})
        assert answer.status == 201

    assert [(await api.state(execution_id))["status"] for execution_id in ids] == ["completed", "completed", "failed"]
    names = [event["event"] for event in (await api.get(f"/api/executions/{ids[2]}/events")).json["events"]]
    assert names.count("execution.failed") == 1


@pytest.mark.contract("X-054", "X-055", "X-056", "X-057")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"results": {}},
        {"results": None, "metadata": None, "artifacts": None},
        {"results": {"total": None, "flaky": None}},
        {"metadata": {"browser": None, "startTime": None, "endTime": None, "duration": None}},
        {"metadata": {"startTime": "2025-08-04T12:35:00.123456Z", "duration": 12.5, "worker": {"id": 7}}},
        {"artifacts": {}, "unknown": [1, {"a": None}]},
    ],
)
async def test_what_is_left_out_comes_from_the_tests(api: Api, fields: dict[str, Any]) -> None:
    execution_id = await api.created(shards=1)
    tests = [
        {"title": "a", "status": "passed"},
        {"title": "b", "status": "passed", "retries": 2, "file": None, "tags": None, "error": None, "duration": None},
        {
            "title": "c",
            "status": "failed",
            "duration": 1.5,
            "error": "tab\there\nbackslash \\N",
            "tags": ['@"x"', "@ä"],
        },
        {"title": "d", "status": "skipped", "details": "what a reporter adds", "steps": [1]},
    ]

    answer = await api.submit(execution_id, tests=tests, **fields)

    assert answer.status == 201, answer.raw
    assert answer.json["summary"]["testsProcessed"] == 4
    state = await api.state(execution_id)
    assert state["results"] == {"total": 4, "passed": 2, "failed": 1, "skipped": 1, "flaky": 1}
    listed = (await api.get(f"/api/executions/{execution_id}/tests")).json["tests"]
    assert [test["title"] for test in listed] == ["a", "b", "c", "d"]
    assert listed[2]["error"] == "tab\there\nbackslash \\N"
    assert listed[2]["tags"] == ['@"x"', "@ä"]
    assert listed[2]["duration"] == 1.5


async def test_a_shard_may_have_no_tests_at_all(api: Api) -> None:
    execution_id = await api.created(shards=1)

    assert (await api.submit(execution_id, tests=None, status="failed")).status == 201
    assert (await api.submit(execution_id, tests=[], status="failed")).status == 201

    assert (await api.state(execution_id))["results"]["total"] == 0


async def test_a_shards_id_may_be_a_number(api: Api) -> None:
    execution_id = await api.created()

    answer = await api.submit(execution_id, 2)  # type: ignore[arg-type] # a client's mistake that does no harm

    assert answer.json["shardId"] == "2"
    assert (await api.state(execution_id))["shardResults"][1]["status"] == "completed"


@pytest.mark.contract("X-053", "X-055", "X-061")
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"status": "passed"}, {"status"}),
        ({"status": None, "shardId": None, "executionId": None}, {"status", "shardId", "executionId"}),
        ({"tests": [{"title": "a", "status": "broken"}, {}]}, {"tests[0].status", "tests[1].title", "tests[1].status"}),
        ({"results": {"total": -1}, "metadata": {"startTime": "now", "duration": -1}},
         {"results.total", "metadata.startTime", "metadata.duration"}),
        ({"shardId": "3"}, {"shardId"}),
        ({"shardId": "01"}, {"shardId"}),
        ({"shardId": 0}, {"shardId"}),
        ({"tests": [{"title": "a\0b", "status": "passed"}]}, {"tests[0].title"}),
        ({"metadata": {"free": "x" * 70_000}}, {"metadata"}),
    ],
)  # fmt: skip
async def test_wrong_fields_are_named_and_nothing_is_stored(api: Api, fields: dict[str, Any], wrong: set[str]) -> None:
    execution_id = await api.created()

    answer = await api.submit(execution_id, **fields)

    assert answer.status == 422
    assert set(answer.fields) == wrong
    state = await api.state(execution_id)
    assert (state["status"], state["seq"]) == ("created", 1)


@pytest.mark.contract("X-061")
async def test_missing_fields_and_unknown_executions(api: Api) -> None:
    assert set((await api.post("/api/results", {})).fields) == {"executionId", "shardId", "status"}
    unknown = await api.submit("exec_1")
    assert (unknown.status, unknown.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.contract("X-062")
async def test_a_shard_sent_again_is_replaced_and_never_added(api: Api) -> None:
    execution_id = await api.created()
    first = await api.submit(execution_id, tests=outcomes(2, 1))

    repeated = await api.submit(execution_id, tests=outcomes(2, 1))
    replaced = await api.submit(execution_id, tests=outcomes(5))

    assert repeated.json["submissionId"] == first.json["submissionId"]
    assert replaced.json["submissionId"] != first.json["submissionId"]
    assert (await api.state(execution_id))["results"]["total"] == 5
    current = (await api.get(f"/api/executions/{execution_id}/tests")).json["tests"]
    every = (await api.get(f"/api/executions/{execution_id}/tests", params={"attempts": "all"})).json["tests"]
    assert [test["attempt"] for test in current] == [2] * 5
    assert [test["attempt"] for test in every] == [1] * 3 + [2] * 5


@pytest.mark.contract("X-063", "X-065")
async def test_results_alone_start_and_complete_an_execution(api: Api) -> None:
    execution_id = await api.created()

    await api.submit(execution_id, "1", metadata={"startTime": moment()})
    state = await api.state(execution_id)
    assert state["status"] == "running"
    assert state["progress"]["startedAt"] is not None

    await api.submit(execution_id, "2")
    state = await api.state(execution_id)
    assert state["status"] == "completed"
    assert state["progress"]["completedAt"] is not None


async def test_compressed_bodies_are_read(api: Api) -> None:
    execution_id = await api.created(shards=1)
    body = {"executionId": execution_id, "shardId": "1", "status": "completed", "tests": outcomes(1000)}
    raw = gzip.compress(msgspec.json.encode(body))

    answer = await api.post("/api/results", raw=raw, headers={"Content-Encoding": "gzip"})

    assert answer.status == 201
    assert (await api.state(execution_id))["results"]["passed"] == 1000


async def test_tests_are_filtered_and_paged(api: Api) -> None:
    execution_id = await api.created()
    await api.submit(
        execution_id, "1", tests=[*outcomes(3, 2), {"title": "Flaky_one", "status": "passed", "retries": 1}]
    )
    await api.submit(execution_id, "2", tests=outcomes(2, 0, 1))
    path = f"/api/executions/{execution_id}/tests"

    async def titles(**params: str) -> list[str]:
        return [test["title"] for test in (await api.get(path, params=params)).json["tests"]]

    assert len(await titles()) == 9
    assert await titles(status="failed") == ["failed 1", "failed 2"]
    assert await titles(shard="2") == ["passed 1", "passed 2", "skipped 1"]
    assert await titles(flaky="true") == ["Flaky_one"]
    assert len(await titles(flaky="false")) == 8
    assert await titles(file="tests/skipped.spec.js") == ["skipped 1"]
    assert await titles(q="flaky_") == ["Flaky_one"]
    assert await titles(q="%") == []
    assert await titles(title="failed 1") == ["failed 1"]
    assert await titles(title="failed") == []
    seen: list[str] = []
    params = {"limit": "4"}
    while True:
        page = (await api.get(path, params=params)).json
        seen += [f"{test['shardId']}/{test['ordinal']}" for test in page["tests"]]
        if page["nextCursor"] is None:
            break
        params = {"limit": "4", "cursor": page["nextCursor"]}
    assert seen == ["1/1", "1/2", "1/3", "1/4", "1/5", "1/6", "2/1", "2/2", "2/3"]


async def test_the_longest_tests_come_first(api: Api) -> None:
    execution_id = await api.created()
    path = f"/api/executions/{execution_id}/tests"
    tests = [{"title": f"takes {took}", "status": "passed", "duration": took} for took in (5, 0.5, 700, 5)]
    await api.submit(execution_id, "1", tests=[{"title": "takes what it takes", "status": "passed"}, *tests])
    await api.submit(execution_id, "2", tests=tests[:1])

    seen: list[tuple[str, float | None]] = []
    params = {"sort": "duration", "limit": "2"}
    while True:
        page = (await api.get(path, params=params)).json
        seen += [(test["shardId"], test["duration"]) for test in page["tests"]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    other = await api.get(path, params={"cursor": params["cursor"]})

    assert seen == [("1", 700), ("1", 5), ("1", 5), ("2", 5), ("1", 0.5), ("1", None)]
    assert (other.status, list(other.fields)) == (422, ["cursor"])


async def test_events_are_read_after_a_number(api: Api) -> None:
    execution_id = await api.created(shards=1)
    await api.submit(execution_id)
    path = f"/api/executions/{execution_id}/events"

    everything = (await api.get(path)).json
    rest = (await api.get(path, params={"after": "2", "limit": "1"})).json

    assert [event["seq"] for event in everything["events"]] == [1, 2, 3, 4]
    assert [event["event"] for event in everything["events"]] == [
        "execution.created",
        "execution.started",
        "shard.completed",
        "execution.completed",
    ]
    assert rest == {"events": everything["events"][2:3], "lastSeq": 4}
    assert {event["executionId"] for event in everything["events"]} == {execution_id}
    assert list((await api.get(path, params={"after": "-1"})).fields) == ["after"]


@pytest.mark.contract("X-023", "X-056")
async def test_the_links_of_an_execution_lead_somewhere(api: Api) -> None:
    execution_id = await api.created()
    await api.post("/api/results", DOCUMENTED | {"executionId": execution_id})
    await api.submit(execution_id, "2", tests=outcomes(3))
    links = (await api.state(execution_id))["artifacts"]

    assert links == {
        "reportUrl": f"{api.url}/reports/{execution_id}",
        "logsUrl": f"{api.url}/logs/{execution_id}",
        "artifactsUrl": f"{api.url}/artifacts/{execution_id}",
    }
    report = (await api.get(links["reportUrl"])).json
    assert report["execution"] == await api.state(execution_id)
    assert [test["title"] for test in report["failedTests"]] == ["User login should work correctly"]
    assert [test["duration"] for test in report["slowestTests"]] == [2500, 300, 200, 100]
    assert (await api.get(links["logsUrl"])).json == {
        "executionId": execution_id,
        "shards": {"1": ["test.log"], "2": []},
        "files": [],
        "hasMoreFiles": False,
    }
    assert (await api.get(links["artifactsUrl"])).json["shards"]["1"] == DOCUMENTED["artifacts"]


@pytest.mark.contract("X-069")
async def test_the_report_of_a_shard(api: Api) -> None:
    execution_id = await api.created()
    await api.submit(execution_id, "1")

    report = await api.get(f"/reports/{execution_id}/shard-1")

    assert report.status == 200
    assert report.json["shard"]["results"]["total"] == 3
    assert len(report.json["tests"]) == 3
    for shard in ("3", "0", "01", "x", "9" * 5000, "%00"):
        assert (await api.get(f"/reports/{execution_id}/shard-{shard}")).status == 404
