"""Who may look, and what becomes of the token."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from orchestrator.identity.roles import Role
from tests.dashboard.conftest import TOKEN_KEY, Tab, opened, token_of
from tests.live.client import Client
from tests.running import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, client: Client) -> AsyncIterator[Page]:
    """A page that nobody has signed in to."""
    context = await browser.new_context(base_url=client.url)
    yield await context.new_page()
    await context.close()


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_label("API token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_link_opens_its_view_after_signing_in_and_the_token_is_in_no_url(page: Page, client: Client) -> None:
    execution = await client.create(shards=2)
    await client.submit(execution, 2, [{"title": "only here", "status": "passed"}])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))

    await page.goto(f"/reports/{execution['executionId']}/shard-2")
    await sign_in(page, f"  {client.token} ")

    await page.get_by_role("option", name="only here").wait_for()
    await expect(page.get_by_label("Shard", exact=True)).to_have_value("2")
    assert not [url for url in [page.url, *asked] if client.token in url]
    assert await page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"


async def test_a_wrong_token_is_told_of(page: Page) -> None:
    await page.goto("/")
    await sign_in(page, "tms_wrong")

    await page.get_by_text("This token is unknown, expired or revoked.").wait_for()
    assert await page.evaluate(f"sessionStorage.getItem({TOKEN_KEY!r})") is None


async def test_signing_out_forgets_the_token(page: Page, client: Client) -> None:
    await page.goto("/")
    await sign_in(page, client.token)
    await page.get_by_role("button", name="Sign out").click()

    await page.get_by_label("API token").wait_for()
    assert await page.evaluate(f"sessionStorage.getItem({TOKEN_KEY!r})") is None


async def test_a_revoked_token_leads_back_to_signing_in(page: Page, client: Client) -> None:
    _, made = await client.ask("POST", "/api/tokens", {"name": "short-lived", "role": "viewer"})
    await page.goto("/")
    await sign_in(page, made["token"])
    await page.get_by_text("Nothing runs at the moment").wait_for()

    await client.ask("DELETE", f"/api/tokens/{made['id']}")
    await page.get_by_label("Suite").select_option("smoke")

    await page.get_by_label("API token").wait_for()


async def test_who_may_not_see_webhooks_is_told_so(browser: Browser, server: RunningServer, client: Client) -> None:
    viewer = client.at(token=await token_of(server, "dashboard-viewers", Role.VIEWER))
    async with opened(browser, viewer) as tab:
        tab.expect_failures()
        await tab.open("/webhooks")
        await tab.see("The token you are signed in with may not see this.")


async def test_an_execution_that_is_not_there_is_told_of(tab: Tab) -> None:
    tab.expect_failures()
    await tab.open("/executions/exec_0")
    await tab.see("No execution exec_0")
