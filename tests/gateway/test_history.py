"""Tests and suites over executions, as the API tells of them."""

from typing import Any

import pytest

from orchestrator.history import model
from tests.gateway.conftest import Api
from tests.gateway.past import digested, executed, outcome, tests_of

LOGIN, LOGOUT, SLOW = ({"title": title, "file": "tests/a.js"} for title in ("logs in", "logs out", "is slow"))


def id_of(test: dict[str, Any]) -> str:
    return model.test_id(test["file"], test["title"])


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The token and executions of `told`, made once for all tests here, which only read."""
    return {}


@pytest.fixture
async def told(newcomer: Api, kept: dict[str, Any]) -> tuple[Api, list[str]]:
    """A tenant with a history: two executions of main and one of a branch."""
    if not kept:
        flaky: dict[str, Any] = {"retries": 1, "duration": 300}
        failed = {"status": "failed", "error": "no form\nstack"}
        slow, skipped = outcome("is slow", duration=9000), outcome("is slow", "skipped")
        executions = [
            await executed(newcomer, [outcome("logs in")], [outcome("logs out", duration=200), slow]),
            await executed(newcomer, [outcome("logs in", **failed)], [outcome("logs out", **flaky)]),
            await executed(newcomer, [outcome("logs in", duration=200)], [skipped], branch="b", testSuite="ui"),
        ]
        await digested(newcomer, *executions)
        kept.update(token=newcomer.token, executions=executions)
    return newcomer.with_token(kept["token"]), kept["executions"]


async def titles(api: Api, **query: str) -> list[str]:
    return [test["title"] for test in await tests_of(api, **query)]


async def test_tests_are_listed_with_rates_and_durations_worst_first(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    worst, *others = await tests_of(api)
    first_run, last_run = worst.pop("firstRunAt"), worst.pop("lastRunAt")
    assert first_run < last_run
    assert worst == {
        "testId": id_of(LOGIN),
        **LOGIN,
        "testSuites": ["regression", "ui"],
        "lastStatus": "passed",
        "runs": 3,
        "failureRate": 0.3333,
        "flakeRate": 0,
        "medianDuration": 100,
        "p95Duration": 200,
        "durationTrend": None,
        "recent": ["passed", "failed", "passed"],
        "quarantined": False,
    }
    assert {(one["title"], one["failureRate"], one["lastStatus"]) for one in others} == {
        ("logs out", 0, "passed"),
        ("is slow", 0, "skipped"),
    }


async def test_tests_can_be_searched_filtered_and_sorted(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    assert sorted(await titles(api, search="LOGS")) == ["logs in", "logs out"]
    assert len(await titles(api, search="a.js")) == 3
    assert await titles(api, search="%") == []
    assert await titles(api, file="other.js") == []
    assert await titles(api, testId=id_of(SLOW)) == ["is slow"]
    assert await titles(api, testId="test_0") == []
    assert sorted(await titles(api, testSuite="ui")) == ["is slow", "logs in"]
    assert await titles(api, status="skipped") == ["is slow"]
    assert await titles(api, status="failed") == []
    assert await titles(api, flaky="true") == ["logs out"]
    assert sorted(await titles(api, flaky="false")) == ["is slow", "logs in"]
    assert sorted(await titles(api, quarantined="false")) == ["is slow", "logs in", "logs out"]
    assert await titles(api, sort="name") == ["is slow", "logs in", "logs out"]
    assert await titles(api, sort="flakeRate", limit="1") == ["logs out"]
    assert await titles(api, sort="duration") == ["is slow", "logs out", "logs in"]
    assert (await titles(api, sort="lastRun"))[-1] == "logs out"


async def test_the_tests_of_a_branch_have_the_numbers_of_its_runs(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    there = {"testSuite": "ui", "branch": "b"}
    assert await titles(api, **there) == ["logs in"], "skipped runs count for nothing"
    [test] = await tests_of(api, **there)
    assert (test["runs"], test["recent"], test["medianDuration"], test["failureRate"]) == (1, ["passed"], 200, 0)
    main = {"testSuite": "regression", "branch": "main"}
    assert await titles(api, **main, sort="duration") == ["is slow", "logs out", "logs in"]
    assert await titles(api, **main, sort="name", limit="1") == ["is slow"]
    [worst, *_] = await tests_of(api, **main, sort="flakeRate")
    assert (worst["title"], worst["flakeRate"]) == ("logs out", 0.5)
    assert await titles(api, testSuite="regression", branch="") == []
    answer = await api.get("/api/tests", params={"branch": "main"})
    assert (answer.status, list(answer.fields)) == (422, ["testSuite"])


@pytest.mark.parametrize("sort", ["failureRate", "flakeRate", "duration", "lastRun", "name"])
async def test_pages_have_every_test_once(told: tuple[Api, list[str]], sort: str) -> None:
    api, _ = told
    found, cursor = [], None
    while True:
        query = {"sort": sort, "limit": "1"} | ({} if cursor is None else {"cursor": cursor})
        answer = (await api.get("/api/tests", params=query)).json
        found += [test["title"] for test in answer["tests"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert found == await titles(api, sort=sort)
    assert len(found) == 3


async def test_a_cursor_is_for_its_own_list(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    cursor = (await api.get("/api/tests", params={"limit": "1"})).json["nextCursor"]
    for path, query in (("/api/tests", {"sort": "name"}), ("/api/suites", {}), ("/api/quarantine", {})):
        answer = await api.get(path, params={"cursor": cursor} | query)
        assert answer.status == 422
        assert "cursor" in answer.fields


async def test_one_test_is_shown_with_its_latest_runs(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    shown = (await api.get(f"/api/tests/{id_of(LOGIN)}")).json
    assert shown["recentDurations"] == [200, 100, 100]
    assert shown["quarantine"] is None
    [listed] = await tests_of(api, search="logs in")
    assert shown == shown | listed


async def test_every_run_of_a_test_is_told_newest_first(told: tuple[Api, list[str]]) -> None:
    api, executions = told
    history = (await api.get(f"/api/tests/{id_of(LOGIN)}/history")).json
    assert [run["executionId"] for run in history["runs"]] == executions[::-1]
    assert (history["title"], history["file"], history["nextCursor"]) == (*LOGIN.values(), None)
    failed = history["runs"][1]
    del failed["endedAt"], failed["errorLikeness"]
    assert failed == {
        "executionId": executions[1],
        "testSuite": "regression",
        "environment": "staging",
        "branch": "main",
        "commit": "abc123",
        "shardId": "1",
        "status": "failed",
        "flaky": False,
        "duration": 100,
        "retries": 0,
        "attempts": [],
        "error": "no form\nstack",
    }
    [flaky, passed] = (await api.get(f"/api/tests/{id_of(LOGOUT)}/history")).json["runs"]
    assert (flaky["flaky"], flaky["retries"], flaky["shardId"], passed["flaky"]) == (True, 1, "2", False)


async def test_a_history_has_pages_and_can_be_that_of_one_branch(told: tuple[Api, list[str]]) -> None:
    api, executions = told
    path = f"/api/tests/{id_of(LOGIN)}/history"
    first = (await api.get(path, params={"limit": "2"})).json
    rest = (await api.get(path, params={"limit": "2", "cursor": first["nextCursor"]})).json
    assert [run["executionId"] for run in (*first["runs"], *rest["runs"])] == executions[::-1]
    assert rest["nextCursor"] is None
    [run] = (await api.get(path, params={"branch": "b"})).json["runs"]
    assert run["executionId"] == executions[2]
    assert (await api.get(path, params={"branch": ""})).json["runs"] == []


async def test_suites_have_their_executions_over_time(told: tuple[Api, list[str]]) -> None:
    api, executions = told
    last, first = (await api.get("/api/suites")).json["suites"]
    assert [(one["testSuite"], one["branch"], len(one["points"])) for one in (last, first)] == [
        ("ui", "b", 1),
        ("regression", "main", 2),
    ]
    newest = first["points"][0]
    assert newest["executionId"] == executions[1]
    assert newest["endedAt"] == first["lastEndedAt"]
    assert (newest["status"], newest["passRate"], newest["results"]["flaky"]) == ("completed", 0.5, 1)
    assert newest["duration"] >= 0
    only = (await api.get("/api/suites", params={"testSuite": "ui", "branch": "b", "points": "0"})).json["suites"]
    assert [one["points"] for one in only] == [[]]
    page = (await api.get("/api/suites", params={"limit": "1"})).json
    page = (await api.get("/api/suites", params={"limit": "1", "cursor": page["nextCursor"]})).json
    assert [one["testSuite"] for one in page["suites"]] == ["regression"]
    assert page["nextCursor"] is None


async def test_history_is_a_tenants_own(told: tuple[Api, list[str]], stranger: Api) -> None:
    assert await tests_of(stranger) == []
    assert (await stranger.get("/api/suites")).json["suites"] == []
    for path in ("", "/history"):
        assert (await stranger.get(f"/api/tests/{id_of(LOGIN)}{path}")).status == 404
    assert (await told[0].get("/api/tests/test_0123456789abcdef0123")).status == 404
