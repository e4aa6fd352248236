"""Titles, errors and branches are strangers' text: whatever is in them, it is only shown."""

from urllib.parse import quote

import pytest
from playwright.async_api import Page

from tests.dashboard.conftest import Tab, digested
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TURNED = "safe\u202egpj.exe"
LONG = "long " + "x" * 9_995
EMOJI = "👩‍👩‍👧‍👦 zahlt שלום مرحبا"
TITLES = (SCRIPT, TURNED, LONG, EMOJI, "javascript:alert(3)", "{{7*7}} ${7*7}", "\x07bell\nline")


async def test_hostile_text_is_shown_and_does_nothing(tab: Tab, client: Client) -> None:
    tests = [
        {"title": title, "file": title[:900], "status": "failed", "error": title, "tags": [title[:50]]}
        for title in TITLES
    ]
    execution = await client.create(
        shards=1,
        provider=SCRIPT,
        metadata={"branch": SCRIPT, "commit": TURNED, "buildNumber": LONG, "triggeredBy": EMOJI},
    )
    await client.submit(execution, 1, tests, status="failed", artifacts={"logs": list(TITLES)})

    test = await digested(client, SCRIPT)
    webhook = {"url": f"https://a.test/{quote(SCRIPT, safe='')}", "events": ["execution.started"]}
    status, made = await client.ask("POST", "/api/webhooks", webhook | {"filters": {"branches": [SCRIPT]}})
    assert status == 201, made

    at = f"/executions/{execution['executionId']}"
    for view, text in {
        "/": SCRIPT,
        **{f"{at}?tab={name}": SCRIPT for name in ("failures", "tests", "artifacts", "events")},
        "/suites": SCRIPT,
        f"/suites/smoke?branch={quote(SCRIPT)}": SCRIPT,
        "/tests": SCRIPT,
        f"/tests/{test['testId']}": SCRIPT,
        "/webhooks": "https://a.test/%3Cscript%3E",
        f"/webhooks/{made['webhookId']}": SCRIPT,
    }.items():
        page = await tab.open(view)
        await tab.see(text)
        await _is_harmless(page)

    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")
    await tab.see("safe⟨202E⟩gpj.exe")
    await tab.see(EMOJI)
    await page.get_by_role("option", name="long xxx").click()
    heading = page.get_by_role("dialog").get_by_role("heading", level=2)
    await heading.wait_for()
    assert len(await heading.inner_text()) <= 1001


async def test_hostile_text_that_comes_while_the_page_is_open_is_only_shown(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    page = await tab.open(f"/executions/{execution['executionId']}?tab=feed")
    await tab.see("Nothing has come since you opened this page.")
    tests = [{"title": title, "file": title[:900], "status": "failed", "error": title} for title in TITLES]
    await client.submit(execution, 1, tests, status="failed")
    await page.get_by_role("option", name=SCRIPT).wait_for()
    await page.get_by_role("option", name="safe⟨202E⟩gpj.exe").wait_for()
    await _is_harmless(page)
    for name, listed in (("Failures", page.locator(".test-line")), ("All tests", page.get_by_role("option"))):
        await page.get_by_role("tab", name=name).click()
        await listed.filter(has_text=SCRIPT).first.wait_for()
        await _is_harmless(page)

    await client.ask("DELETE", f"/api/executions/{execution['executionId']}", {"reason": SCRIPT})

    await page.locator(".headline").get_by_text(SCRIPT).wait_for()
    await page.get_by_role("tab", name="Live feed").click()
    await page.get_by_role("option", name=f"Cancelled: {SCRIPT}").wait_for()
    await _is_harmless(page)


async def _is_harmless(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is pushed out of sight"
    assert await page.locator("main img, main script").count() == 0
