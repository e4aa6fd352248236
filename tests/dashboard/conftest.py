"""A real browser on the dashboard of a real server, and a client that makes things happen meanwhile.

One browser serves all tests of this folder, so that they share one event loop: each module says so.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from gateway.handlers.dashboard import BUILT
from orchestrator.identity.roles import Role
from storage import identity, postgres
from tests.live.client import Client
from tests.patience import eventually
from tests.running import RunningServer

OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 20_000
TOKEN_KEY = "tms.token"


class Tab:
    """A page of the browser, and what must not happen in it.

    Attributes:
        page: the browser's own.
        faults: errors on its console, dialogs, and requests to anybody else.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        self._is_away = False
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: self._note(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("dialog", lambda dialog: self._note(f"dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url.startswith(url) else self._note(request.url))

    def expect_failures(self) -> None:
        """From now on requests may fail, which the browser says on the console."""
        self._is_away = True

    def _note(self, fault: str) -> None:
        if not fault.startswith("data:") and not (self._is_away and _is_of_the_network(fault)):
            self.faults.append(fault)

    async def open(self, path: str) -> Page:
        """Go to a view."""
        await self.page.goto(self.url + path)
        return self.page

    async def see(self, text: str) -> None:
        """Wait until it can be read."""
        await self.page.get_by_text(text).first.wait_for()


def _is_of_the_network(fault: str) -> bool:
    return any(words in fault for words in ("Failed to load resource", "WebSocket connection"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's browser; the page has to be built as well."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("These tests need Chromium: apt-get install chromium", pytrace=False)
    if not (BUILT / "index.html").is_file():
        pytest.fail("These tests need the built dashboard: make dashboard", pytrace=False)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, client: Client, **options: Any) -> AsyncIterator[Tab]:
    """A tab of its own, signed in; nothing that must not happen has happened in it at the end."""
    context = await browser.new_context(reduced_motion="reduce", **options)
    try:
        tab = Tab(await context.new_page(), client.url)
        await tab.page.add_init_script(f"sessionStorage.setItem({TOKEN_KEY!r}, {client.token!r})")
        yield tab
        assert tab.faults == []
    finally:
        await context.close()


async def token_of(server: RunningServer, tenant: str, role: Role = Role.ADMIN) -> str:
    """A token of a tenant, which is made where there is none of the name."""
    connection = await postgres.connect(server.database_url)
    try:
        tenant_id = await identity.ensure_tenant(connection, tenant)
        made = await identity.create_token(connection, tenant_id, name="dashboard", role=role, now=datetime.now(UTC))
    finally:
        await connection.close()
    return made[0]


async def digested(client: Client, title: str, runs: int = 1) -> dict[str, Any]:
    """A test as history has it, once it knows so many of its runs."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        _, page = await client.ask("GET", f"/api/tests?search={quote(title)}")
        found[:] = [test for test in page["tests"] if test["title"] == title and test["runs"] >= runs]
        return bool(found)

    await eventually(is_there)
    return found[0]


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: RunningServer) -> AsyncIterator[Client]:
    """An administrator of a tenant that has nothing yet."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, server.url, await token_of(server, f"dashboard-{uuid4()}"))


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, client: Client) -> AsyncIterator[Tab]:
    async with opened(browser, client) as tab:
        yield tab
