"""How the dashboard's page and files are served; what the page does is tried in tests/dashboard."""

import gzip
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.handlers import dashboard
from tests.gateway.conftest import Api


@pytest.mark.parametrize("path", ["/", "/executions/exec_1", "/webhooks", "/tests/test_1", "/system"])
async def test_the_page_needs_no_token_and_may_load_nothing_from_elsewhere(api: Api, path: str) -> None:
    answer = await api.with_token(None).get(path)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not re.findall(r"<(?:script|style)(?![^>]*src=)[^>]*>", answer.raw.decode()), "nothing is inline"


async def test_files_are_kept_for_ever_by_the_browser_and_sent_compressed(api: Api) -> None:
    page = (await api.get("/")).raw.decode()
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    assert {Path(name).suffix for name in names} == {".js", ".css"}

    for name in names:
        plain = await api.with_token(None).get(name)
        packed = await api.with_token(None).get(name, headers={"Accept-Encoding": "gzip"})
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert plain.headers["Content-Type"].startswith(("text/javascript", "text/css"))
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.raw) == plain.raw


async def test_a_file_that_is_not_there_is_answered_as_everything_else(api: Api) -> None:
    answer = await api.get("/assets/..%2f..%2fapp.py")

    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


async def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    app = web.Application()
    dashboard.install(app, tmp_path)
    async with TestServer(app) as server, ClientSession() as session, session.get(server.make_url("/")) as answer:
        text = await answer.text()

    assert answer.status == 200
    assert "make dashboard" in text
