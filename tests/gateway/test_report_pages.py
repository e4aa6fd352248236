"""What the links of an execution show to people: a page, by token with results and without a token none of them."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.handlers import reports
from storage import postgres
from tests.gateway.conftest import Answer, Api
from tests.gateway.files import PNG, sent
from tests.running import RunningServer

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
HOSTILE = "<script>alert('ours')</script>\"'&"
PATHS = ("/reports/{}", "/reports/{}/shard-1", "/logs/{}", "/artifacts/{}")


class Tags(HTMLParser):
    """Every tag of a page, its attributes, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.links += [str(value) for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(answer: Answer) -> Tags:
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), answer.raw
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return Tags(answer.raw)


@pytest.fixture
async def execution_id(api: Api) -> str:
    """An execution whose every text is an attack."""
    execution_id = await api.created(shards=1, provider=HOSTILE)
    failed = {"title": HOSTILE, "file": HOSTILE, "status": "failed", "error": HOSTILE}
    await sent(api, execution_id, b"lines", f"{HOSTILE[8:16]}<b>.log", test=HOSTILE)
    await sent(api, execution_id, PNG, "a.png")
    await api.submit(execution_id, tests=[failed], artifacts={"screenshots": [HOSTILE], "logs": [HOSTILE]})
    return execution_id


@pytest.mark.contract("X-023", "X-069", "X-070")
@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_with_a_token_gets_a_page_in_which_nothing_runs(api: Api, execution_id: str, path: str) -> None:
    page = page_of(await api.get(path.format(execution_id), headers=BROWSER))
    assert execution_id in page.text
    assert HOSTILE in page.text
    assert "script" not in page.tags
    for link in page.links:
        assert (await api.get(link)).status == 200, link


async def test_the_page_of_an_execution_tells_how_it_stands(api: Api, execution_id: str) -> None:
    page = page_of(await api.get(f"/reports/{execution_id}", headers=BROWSER))
    assert f"{execution_id}: completed" in page.text
    assert "1 tests: 0 passed, 1 failed, 0 skipped, 0 flaky" in page.text
    assert page.links == [
        f"/reports/{execution_id}/shard-1",
        f"/logs/{execution_id}",
        f"/artifacts/{execution_id}",
        f"/reports/{execution_id}.xml",
        f"/reports/{execution_id}.ctrf.json",
    ]


async def test_pages_lead_to_the_files(api: Api, execution_id: str) -> None:
    logs = page_of(await api.get(f"/logs/{execution_id}", headers=BROWSER))
    artifacts = page_of(await api.get(f"/artifacts/{execution_id}", headers=BROWSER))
    nobody = api.with_token(None)
    assert [(await nobody.get(link)).raw for link in logs.links[:-1]] == [b"lines"]
    assert [(await nobody.get(link)).raw for link in artifacts.links[:-1]] == [b"lines", PNG]


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_without_a_token_learns_nothing(api: Api, execution_id: str, path: str) -> None:
    nobody = api.with_token(None)
    seen = await nobody.get(path.format(execution_id), headers=BROWSER)
    unknown = await nobody.get(path.format("exec_1"), headers=BROWSER)
    assert page_of(seen).tags.isdisjoint({"form", "input"})
    assert seen.raw == unknown.raw == (await nobody.get("/")).raw
    assert re.search(r"exec_|alert", seen.raw.decode()) is None


@pytest.mark.parametrize("path", PATHS)
async def test_a_credential_that_is_shown_decides(api: Api, stranger: Api, execution_id: str, path: str) -> None:
    assert (await api.with_token("nope").get(path.format(execution_id), headers=BROWSER)).status == 401
    assert (await stranger.get(path.format(execution_id), headers=BROWSER)).status == 404


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html;q=0.1", "text/html; charset=utf-8"),
        ("text/html, application/json", "application/json"),
        ("text/html;q=0.9, application/xml", "application/xml"),
        ("text/html, application/ctrf+json;q=0.9", "text/html; charset=utf-8"),
        ("application/ctrf+json", "application/ctrf+json"),
        ("image/png", "application/json"),
        ("", "application/json"),
    ],
)
async def test_everybody_gets_what_they_like_best(api: Api, execution_id: str, accept: str, media: str) -> None:
    answer = await api.get(f"/reports/{execution_id}", headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, media)
    wants_page = media.startswith("text/html")
    nobody = await api.with_token(None).get(f"/reports/{execution_id}", headers={"Accept": accept})
    assert nobody.status == (200 if wants_page else 401)


async def test_a_suffix_says_what_a_program_gets(api: Api, execution_id: str) -> None:
    for path in (f"/reports/{execution_id}", f"/reports/{execution_id}/shard-1"):
        as_json = await api.get(f"{path}.json", headers=BROWSER)
        assert as_json.json == (await api.get(path)).json
        for suffix, media in ((".xml", "application/xml"), (".ctrf.json", "application/ctrf+json")):
            answer = await api.get(f"{path}{suffix}", headers=BROWSER)
            assert (answer.status, answer.headers["Content-Type"]) == (200, media)


async def test_who_has_more_files_than_are_listed_is_told(api: Api, server: RunningServer) -> None:
    execution_id = (await api.create())["executionId"]
    await sent(api, execution_id, PNG, "1.png")
    whole = (await api.get(f"/artifacts/{execution_id}")).json
    assert (len(whole["files"]), whole["hasMoreFiles"]) == (1, False)

    async with postgres.connected(server.database_url) as connection:
        await connection.execute(
            "INSERT INTO artifacts (artifact_id, tenant_id, execution_id, shard, kind, name, size, sha256, identity,"
            " created_at, object_name, stored_at) SELECT artifact_id || n, tenant_id, execution_id, shard, kind,"
            " n || '.png', size, sha256, n::text::bytea, created_at, object_name, stored_at"
            " FROM artifacts, generate_series(1, $2) AS n WHERE execution_id = $1",
            *(execution_id, reports.FILES),
        )
    cut = (await api.get(f"/artifacts/{execution_id}")).json
    assert (len(cut["files"]), cut["hasMoreFiles"]) == (1000, True)
    assert (
        "These are the first 1,000 of more files."
        in page_of(await api.get(f"/artifacts/{execution_id}", headers=BROWSER)).text
    )


async def test_programs_read_of_files_beside_the_names_that_were_told(api: Api, execution_id: str) -> None:
    logs: Any = (await api.get(f"/logs/{execution_id}")).json
    artifacts: Any = (await api.get(f"/artifacts/{execution_id}")).json
    assert logs["shards"] == {"1": [HOSTILE]}
    assert artifacts["shards"] == {"1": {"screenshots": [HOSTILE], "logs": [HOSTILE]}}
    assert [file["kind"] for file in logs["files"]] == ["logs"]
    assert [file["kind"] for file in artifacts["files"]] == ["logs", "screenshots"]
    assert (await api.with_token(None).get(artifacts["files"][1]["url"])).raw == PNG
