"""The gate of an execution over the API, against what former executions left in history."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.history import model
from tests.gateway.conftest import Api
from tests.gateway.past import digested, executed, outcome
from tests.gateway.test_runners import claim, close, planned, results, stream


async def gate(api: Api, execution_id: str, **query: str) -> dict[str, Any]:
    answer = await api.get(f"/api/executions/{execution_id}/gate", params=query)
    assert answer.status == 200, answer.raw
    verdict: dict[str, Any] = answer.json
    return verdict


async def rule(api: Api, execution_id: str, text: str, **query: str) -> dict[str, Any]:
    """What one rule says of an execution."""
    [finding] = (await gate(api, execution_id, rules=text, **query))["rules"]
    found: dict[str, Any] = finding
    return found


def titles(finding: dict[str, Any]) -> list[str]:
    return [test["title"] for test in finding["tests"]]


async def test_it_is_pending_until_the_execution_has_ended(api: Api) -> None:
    execution_id = await api.created(2)
    await api.submit(execution_id, "1")
    verdict = await gate(api, execution_id)
    assert verdict == {
        "executionId": execution_id,
        "verdict": "pending",
        "rules": [],
        "comparedWith": None,
        "quarantined": [],
    }


async def test_an_execution_is_judged_at_once_and_without_any_history(newcomer: Api) -> None:
    execution_id = await executed(newcomer, [outcome("works"), outcome("is broken", "failed")])
    verdict = await gate(newcomer, execution_id)
    assert (verdict["verdict"], verdict["comparedWith"]) == ("failed", {"branch": "main", "executionIds": []})
    incomplete, new = verdict["rules"]
    assert (incomplete["rule"], incomplete["passed"]) == ("incomplete<=0", True)
    assert new == {
        "rule": "new_failures<=0",
        "measure": "new_failures",
        "value": 1,
        "most": 0,
        "percent": False,
        "passed": False,
        "tests": [{"file": "tests/a.js", "title": "is broken", "testId": model.test_id("tests/a.js", "is broken")}],
        "testsTotal": 1,
        "unlisted": 0,
        "parts": [],
    }
    assert (await gate(newcomer, execution_id, rules="new_failures<=50%,missing=0"))["verdict"] == "passed"


async def test_a_branch_is_compared_with_the_default_one_until_it_is_merged(newcomer: Api) -> None:
    former = await executed(newcomer, [outcome("old", "failed"), outcome("new"), outcome("gone")])
    await digested(newcomer, former)
    failing = [outcome("old", "failed"), outcome("new", "failed")]
    first = await executed(newcomer, failing, branch="feature")
    await digested(newcomer, first)
    again = await executed(newcomer, failing, branch="feature")
    for execution_id in (first, again):
        verdict = await gate(newcomer, execution_id, rules="new_failures=0,missing=0,failures=2")
        assert verdict["comparedWith"] == {"branch": "main", "executionIds": [former]}
        new, missing, failures = verdict["rules"]
        assert (titles(new), titles(missing), failures["passed"]) == (["new"], ["gone"], True)
    own = await rule(newcomer, again, "new_failures=0", baseline="feature")
    assert (own["value"], own["passed"]) == (0, True)
    merged = await executed(newcomer, failing)
    assert titles(await rule(newcomer, merged, "new_failures=0")) == ["new"]


async def test_failures_in_quarantine_do_not_count(newcomer: Api) -> None:
    await digested(newcomer, await executed(newcomer, [outcome("shaky")]))
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    terms = {"owner": "ann", "reason": "shaky", "expiresAt": expires_at}
    path = f"/api/tests/{model.test_id('tests/a.js', 'shaky')}/quarantine"
    assert (await newcomer.send("PUT", path, terms)).status == 200
    execution_id = await executed(newcomer, [outcome("shaky", "failed")])
    verdict = await gate(newcomer, execution_id, rules="failures=0,new_failures=0")
    assert verdict["verdict"] == "passed"
    assert [test["title"] for test in verdict["quarantined"]] == ["shaky"]
    await newcomer.delete(path)
    assert (await gate(newcomer, execution_id))["verdict"] == "failed"


async def test_flaky_tests_and_shards_without_a_result_are_counted(newcomer: Api) -> None:
    tests = [outcome("shaky", retries=1), *(outcome(f"sound {number}") for number in range(9))]
    execution_id = await newcomer.created(2)
    await newcomer.submit(execution_id, "1", tests=tests)
    await newcomer.delete(f"/api/executions/{execution_id}")
    flaky = await rule(newcomer, execution_id, "flaky<=9.5%")
    assert (flaky["value"], flaky["percent"], flaky["passed"], titles(flaky)) == (10, True, False, ["shaky"])
    assert (await rule(newcomer, execution_id, "flaky<=1"))["passed"]
    lost = await rule(newcomer, execution_id, "incomplete=0")
    assert (lost["value"], lost["parts"]) == (1, ["shard 2: cancelled"])


async def test_failures_that_a_runner_counted_and_did_not_list_are_not_forgotten(newcomer: Api) -> None:
    execution_id = await newcomer.created(1)
    await newcomer.submit(execution_id, "1", results={"total": 50, "failed": 3}, tests=[outcome("one", "failed")])
    finding = await rule(newcomer, execution_id, "new_failures<=1%")
    assert (finding["value"], finding["unlisted"], finding["testsTotal"]) == (6, 2, 1)


async def test_planned_tests_that_were_not_reported_make_an_execution_incomplete(newcomer: Api) -> None:
    execution_id = await planned(newcomer, "static", shards=1)
    claimed = await claim(newcomer, execution_id)
    await stream(newcomer, execution_id, claimed, results(claimed["tests"][:10]))
    await close(newcomer, execution_id, "1", runnerId="a")
    verdict = await gate(newcomer, execution_id, rules="incomplete=0,missing=0")
    incomplete, missing = verdict["rules"]
    assert (incomplete["value"], incomplete["passed"]) == (1, False)
    assert incomplete["parts"] == ["plan: 2 of 12 tests not reported"]
    assert (missing["value"], missing["passed"]) == (None, True)


@pytest.mark.parametrize("rules", ["colour=3", "new_failures", "duration_growth=3", ""])
async def test_a_wrong_rule_is_refused_by_name(api: Api, rules: str) -> None:
    execution_id = await api.created(1)
    answer = await api.get(f"/api/executions/{execution_id}/gate", params={"rules": rules})
    assert answer.status == 422
    assert list(answer.fields) == ["rules"]
    assert rules.partition("=")[0] in answer.fields["rules"]


async def test_another_tenants_execution_has_no_gate(api: Api, stranger: Api) -> None:
    execution_id = await api.created(1)
    assert (await stranger.get(f"/api/executions/{execution_id}/gate")).status == 404
