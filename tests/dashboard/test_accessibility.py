"""axe-core finds no serious fault in any view and dialog, in light and dark, wide and narrow."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.dashboard.conftest import digested, opened
from tests.live.client import Client
from tests.running import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = ROOT / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1360, "height": 900}
TESTS: list[dict[str, Any]] = [
    {"title": "pays", "file": "pay.py", "status": "failed", "error": "no answer", "retries": 1, "duration": 900},
    {"title": "logs in", "status": "passed", "retries": 1, "duration": 20},
    {"title": "waits", "status": "skipped"},
]


SCHEMES = pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", PHONE), ("dark", PHONE)], ids=str
)


@SCHEMES
async def test_axe_finds_no_serious_fault(browser: Browser, client: Client, scheme: str, size: dict[str, int]) -> None:
    ended = await client.create(shards=2, metadata={"branch": "main", "commit": "abc"})
    await client.submit(ended, 1, TESTS, status="failed", artifacts={"logs": ["a.log"]})
    await client.submit(ended, 2, TESTS[1:])
    running = await client.create(shards=3)
    await client.submit(running, 1, TESTS, status="failed")
    _, webhook = await client.ask(
        "POST", "/api/webhooks", {"url": "https://a.test/hook", "events": ["execution.started"]}
    )
    test = await digested(client, "pays")
    at = f"/executions/{ended['executionId']}"
    views = {
        "/": "1 failed",
        f"/executions/{running['executionId']}": "1 of 3 done",
        at: "no answer",
        f"{at}?tab=tests": "5 tests",
        f"{at}?tab=feed": "It has ended.",
        f"{at}?tab=artifacts": "a.log",
        f"{at}?tab=webhooks": "No webhook was told",
        f"{at}?tab=events": "execution.created",
        "/suites": "smoke on main",
        "/suites/smoke?branch=main": "Flakiest tests",
        "/tests": "pays",
        f"/tests/{test['testId']}": "Every run",
        "/webhooks": "https://a.test/hook",
        f"/webhooks/{webhook['webhookId']}": "Validate",
        "/system": "Ready",
    }
    async with opened(browser, client, color_scheme=scheme, viewport=size) as tab:
        for view, text in views.items():
            page = await tab.open(view)
            await tab.see(text)
            await _is_sound(page, view)


@SCHEMES
async def test_axe_finds_no_serious_fault_in_what_opens(
    browser: Browser, client: Client, scheme: str, size: dict[str, int]
) -> None:
    execution = await client.create(shards=3)
    await client.submit(execution, 1, TESTS, status="failed")
    ended = await client.create(shards=1)
    await client.submit(ended, 1, TESTS, status="failed")
    test = await digested(client, "pays")
    at = f"/executions/{execution['executionId']}"
    dialogs = {
        at: ("Cancel execution", "Cancel this execution?"),
        f"{at}?tab=failures": ("pays", "pays"),
        f"/tests/{test['testId']}": ("Put into quarantine", "Quarantine"),
        "/system": ("Keys", "Keys"),
    }
    async with opened(browser, client, color_scheme=scheme, viewport=size) as tab:
        for view, (button, title) in dialogs.items():
            page = await tab.open(view)
            await page.get_by_role("button", name=button).click()
            await page.get_by_role("dialog", name=title).wait_for()
            await _is_sound(page, f"{title} in {view}")
        page = await tab.open(f"{at}?tab=events")
        await page.get_by_role("option").first.click()
        await page.get_by_role("dialog", name="Event 1").wait_for()
        await _is_sound(page, "an event")


@SCHEMES
async def test_axe_finds_no_serious_fault_where_nobody_is_signed_in_and_where_nothing_is_live(
    browser: Browser, client: Client, scheme: str, size: dict[str, int]
) -> None:
    async with opened(browser, client, color_scheme=scheme, viewport=size) as tab:
        tab.expect_failures()
        await tab.page.route_web_socket("**/api/live", lambda socket: socket.close())
        page = await tab.open("/")
        await tab.see("No connection to the server since")
        await _is_sound(page, "without a connection")
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("API token").fill("tms_wrong")
        await _is_sound(page, "the sign-in form")
        await page.get_by_role("button", name="Sign in").click()
        await tab.see("This token is unknown, expired or revoked.")
        await _is_sound(page, "a refused token")


async def _is_sound(page: Page, what: str) -> None:
    await page.evaluate(Path(AXE).read_text())
    found = await page.evaluate(RUN)
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], f"{what}: {json.dumps(serious, indent=1)}"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{what} is too wide"
