"""Badges: what they tell, and who may see them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from gateway.wire.badges import drawn
from orchestrator.executions.model import ExecutionStatus, ReasonCode
from orchestrator.history import model
from orchestrator.identity.roles import Role
from storage.executions import Finished
from tests.gateway.conftest import Answer, Api, TokenMaker, outcomes
from tests.gateway.past import digested


async def url_of(api: Api, test_suite: str = "smoke", **params: str) -> str:
    answer = await api.get("/api/badges", params={"testSuite": test_suite} | params)
    assert answer.status == 200, answer.raw
    assert answer.json["markdown"] == f"![{test_suite} tests]({answer.json['url']})"
    return str(answer.json["url"])


async def told(api: Api, url: str) -> str:
    """What a badge says to whoever has its URL."""
    answer = await api.with_token(None).get(url)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml"), answer.raw
    return title(answer.raw)


def title(svg: bytes) -> str:
    found = ET.fromstring(svg).findtext("{http://www.w3.org/2000/svg}title")  # noqa: S314 - our own
    assert found is not None
    return found


async def run(api: Api, *, failed: int = 0, suite: str = "smoke", branch: str = "main", **fields: Any) -> str:
    execution_id = await api.created(shards=1, testSuite=suite, metadata={"branch": branch}, **fields)
    await api.submit(execution_id, tests=outcomes(1, failed))
    return execution_id


async def test_a_badge_tells_of_the_newest_execution_that_has_ended(newcomer: Api) -> None:
    url = await url_of(newcomer)
    assert await told(newcomer, url) == "smoke: no runs"
    await run(newcomer)
    assert await told(newcomer, url) == "smoke: passing"
    await run(newcomer, failed=3)
    assert await told(newcomer, url) == "smoke: failing 3"
    running = await newcomer.created(shards=1)
    await run(newcomer, suite="ui")
    assert await told(newcomer, url) == "smoke: failing 3"
    await newcomer.delete(f"/api/executions/{running}")
    assert await told(newcomer, url) == "smoke: cancelled"
    assert await told(newcomer, await url_of(newcomer, "ui")) == "ui: passing"


async def test_failures_in_quarantine_are_not_told(newcomer: Api) -> None:
    await digested(newcomer, await run(newcomer, failed=2))
    url = await url_of(newcomer)
    assert await told(newcomer, url) == "smoke: failing 2"
    terms = {"owner": "ann", "reason": "shaky", "expiresAt": "2199-01-01T00:00:00Z"}
    for number, expected in ((1, "smoke: failing 1"), (2, "smoke: passing")):
        test_id = model.test_id("tests/failed.spec.js", f"failed {number}")
        assert (await newcomer.send("PUT", f"/api/tests/{test_id}/quarantine", terms)).status == 200
        assert await told(newcomer, url) == expected


async def test_a_badge_may_be_of_a_branch_and_an_environment(newcomer: Api) -> None:
    await run(newcomer, branch="feature/<b>&", failed=1)
    await run(newcomer, branch="main", environment="production")
    for params, expected in (
        ({"branch": "feature/<b>&"}, "smoke feature/<b>&: failing 1"),
        ({"branch": "main"}, "smoke main: passing"),
        ({"branch": "main", "environment": "dev"}, "smoke main: no runs"),
        ({"environment": "production"}, "smoke: passing"),
        ({"environment": "staging"}, "smoke: failing 1"),
    ):
        assert await told(newcomer, await url_of(newcomer, **params)) == expected


async def test_a_badge_is_cached_for_a_minute_and_then_asked_for_by_its_tag(newcomer: Api) -> None:
    url = await url_of(newcomer)
    first = await newcomer.with_token(None).get(url)
    assert first.headers["Cache-Control"] == "public, max-age=60"
    known = {"If-None-Match": first.headers["ETag"]}
    assert (await newcomer.get(url, headers=known)).status == 304
    await run(newcomer)
    assert (await newcomer.get(url, headers=known)).status == 200


async def test_a_url_shows_the_badge_that_it_was_made_for(newcomer: Api, stranger: Api) -> None:
    url = urlsplit(await url_of(newcomer, branch="main"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    foreign = parse_qs(urlsplit(await url_of(stranger, branch="main")).query)["signature"][0]
    tenant, _, signature = query["signature"].partition(".")

    async def seen(path: str = url.path, **changed: str) -> Answer:
        return await newcomer.with_token(None).get(path, params=query | changed)

    assert (await seen()).status == 200
    for refused in (
        await seen("/badges/ui.svg"),
        await seen("/badges/x.svg"),
        await seen(branch="other"),
        await seen(environment="dev"),
        await seen(signature=""),
        await seen(signature=signature),
        await seen(signature=f"{int(tenant) + 1}.{signature}"),
        await seen(signature=f"{foreign.partition('.')[0]}.{signature}"),
        await newcomer.get(url.path),
    ):
        assert (refused.status, refused.error["code"]) == (404, "NOT_FOUND")
    assert newcomer.token is not None
    assert newcomer.token not in url.query


async def test_whoever_may_read_gets_urls_of_badges(api: Api, token_for: TokenMaker) -> None:
    viewer = api.with_token(await token_for(Role.VIEWER))
    assert await told(viewer, await url_of(viewer, "regression"))
    assert (await api.with_token(None).get("/api/badges?testSuite=smoke")).status == 401
    for wrong in ({}, {"testSuite": "x"}, {"testSuite": "ui", "branch": ""}, {"testSuite": "ui", "environment": "x"}):
        assert (await api.get("/api/badges", params=wrong)).status == 422


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (Finished("exec_1", ExecutionStatus.COMPLETED, None, 9, 0), "passing"),
        (Finished("exec_1", ExecutionStatus.COMPLETED, None, 0, 0), "no tests"),
        (Finished("exec_1", ExecutionStatus.COMPLETED, None, 9000, 1200), "failing 1200"),
        (Finished("exec_1", ExecutionStatus.COMPLETED, ReasonCode.INCOMPLETE, 9, 0), "incomplete"),
        (Finished("exec_1", ExecutionStatus.COMPLETED, ReasonCode.INCOMPLETE, 9, 1), "failing 1"),
        (Finished("exec_1", ExecutionStatus.FAILED, ReasonCode.TIMEOUT, 0, 0), "failing"),
        (Finished("exec_1", ExecutionStatus.FAILED, ReasonCode.SHARD_ERROR, 9, 2), "failing 2"),
        (Finished("exec_1", ExecutionStatus.CANCELLED, None, 9, 2), "cancelled"),
    ],
)
def test_words_tell_what_colours_do(newest: Finished, expected: str) -> None:
    assert title(drawn("smoke", None, newest)) == f"smoke: {expected}"


def test_a_long_or_hostile_branch_stays_text() -> None:
    for branch in ("x" * 255, '"/><script>alert(1)</script>', "日本語" * 80, "]]>&amp;"):
        svg = drawn("smoke", branch, None)
        assert {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()} == {  # noqa: S314 - our own
            *("svg", "title", "rect", "path", "g", "text")
        }
        assert float(ET.fromstring(svg).attrib["width"]) < 700  # noqa: S314 - our own
