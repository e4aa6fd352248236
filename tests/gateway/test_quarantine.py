"""Quarantine over the API: terms, lists, and how it ends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.history import model
from orchestrator.identity.roles import Role
from tests.gateway.conftest import Api, TokenMaker
from tests.gateway.past import digested, executed, outcome, tests_of

FLAKY = model.test_id("tests/a.js", "is flaky")
PATH = f"/api/tests/{FLAKY}/quarantine"


def terms(**changed: Any) -> dict[str, Any]:
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {"owner": "ann", "reason": "fails at night", "expiresAt": expires_at, "exitStreak": 2} | changed


async def run(api: Api, status: str) -> None:
    await digested(api, await executed(api, [outcome("is flaky", status)]))


async def listed(api: Api, state: str) -> list[Any]:
    answer = await api.get("/api/quarantine", params={"state": state})
    assert answer.status == 200
    found: list[Any] = answer.json["quarantines"]
    return found


async def test_a_test_is_in_quarantine_until_it_passes_often_enough(newcomer: Api) -> None:
    await run(newcomer, "failed")
    put = await newcomer.send("PUT", PATH, terms())
    assert put.status == 200
    assert put.json | {"owner": "ann", "title": "is flaky", "streak": 0, "ending": None, "endedAt": None} == put.json
    assert await listed(newcomer, "active") == [put.json]
    assert (await newcomer.get(f"/api/tests/{FLAKY}")).json["quarantine"] == put.json
    assert [test["testId"] for test in await tests_of(newcomer, quarantined="true")] == [FLAKY]

    await run(newcomer, "passed")
    assert [one["streak"] for one in await listed(newcomer, "active")] == [1]
    await run(newcomer, "passed")
    assert await listed(newcomer, "active") == []
    [ended] = await listed(newcomer, "ended")
    assert (ended["quarantineId"], ended["ending"], ended["streak"]) == (put.json["quarantineId"], "passed", 2)
    assert ended["endedAt"] > ended["createdAt"]
    assert await tests_of(newcomer, quarantined="true") == []


async def test_terms_can_be_changed_and_the_test_taken_out(newcomer: Api) -> None:
    await run(newcomer, "failed")
    first = (await newcomer.send("PUT", PATH, terms())).json
    last = (await newcomer.send("PUT", PATH, terms(owner="ben", exitStreak=9))).json
    assert (last["owner"], last["exitStreak"], last["quarantineId"]) == ("ben", 9, first["quarantineId"])
    removed = await newcomer.delete(PATH)
    assert (removed.status, removed.json["ending"]) == (200, "removed")
    assert (await newcomer.delete(PATH)).status == 404
    assert await listed(newcomer, "active") == []
    assert await listed(newcomer, "ended") == [removed.json]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", ""),
        ("reason", None),
        ("exitStreak", 0),
        ("exitStreak", model.REMEMBERED + 1),
        ("expiresAt", "2020-01-01T00:00:00Z"),
        ("expiresAt", "tomorrow"),
    ],
)
async def test_wrong_terms_are_refused_by_name(api: Api, field: str, value: Any) -> None:
    answer = await api.send("PUT", PATH, terms(**{field: value}))
    assert answer.status == 422
    assert list(answer.fields) == [field]


async def test_whoever_only_reads_changes_no_quarantine(api: Api, token_for: TokenMaker, stranger: Api) -> None:
    viewer = api.with_token(await token_for(Role.VIEWER))
    assert (await viewer.send("PUT", PATH, terms())).status == 403
    assert (await viewer.delete(PATH)).status == 403
    assert (await viewer.get("/api/quarantine")).status == 200
    assert (await stranger.send("PUT", PATH, terms())).status == 404
