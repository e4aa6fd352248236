"""Filters, pages and tabs are in the URL, and survive a reload and the browser's back button."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSED = {"title": "logs in", "status": "passed", "duration": 20}


async def test_filters_and_pages_survive_a_reload(tab: Tab, client: Client) -> None:
    for number in range(53):
        branch = "main" if number else "oldest"
        execution = await client.create(shards=1, testSuite="api", metadata={"branch": branch, "commit": f"c{number}"})
        await client.submit(execution, 1, [PASSED])
    page = await tab.open("/")
    rows = page.locator("tbody tr")
    await page.get_by_text("c52", exact=True).wait_for()
    await expect(rows).to_have_count(50)

    await page.get_by_role("button", name="Older").click()
    await page.get_by_text("oldest").wait_for()
    await expect(rows).to_have_count(3)
    await page.reload()
    await page.get_by_text("oldest").wait_for()
    await page.go_back()
    await page.get_by_text("c52", exact=True).wait_for()

    await page.get_by_label("Branch").fill("oldest")
    await page.get_by_text("oldest", exact=True).wait_for()
    await page.get_by_text("c52", exact=True).wait_for(state="detached")
    await page.get_by_label("Suite").select_option("ui")
    await tab.see("Nothing here matches these filters.")
    await page.reload()
    await tab.see("Nothing here matches these filters.")
    await expect(page.get_by_label("Branch")).to_have_value("oldest")
    await page.get_by_role("button", name="Clear").click()
    await page.get_by_text("c52", exact=True).wait_for()


async def test_ended_executions_are_found_behind_many_that_run(tab: Tab, client: Client) -> None:
    passed, failed = [await client.create(shards=1, testSuite=suite) for suite in ("smoke", "ui")]
    for _ in range(51):
        await client.create(shards=1, testSuite="api")
    await client.submit(passed, 1, [PASSED])
    await client.submit(failed, 1, [PASSED | {"status": "failed"}], status="failed")
    page = await tab.open("/")
    rows = page.locator("tbody tr")
    await page.get_by_role("row", name="Passed smoke on staging").wait_for()
    await expect(rows).to_have_count(2)

    await page.get_by_label("Outcome").select_option("failing")
    await page.get_by_role("row", name="1 failed ui on staging").wait_for()
    await expect(rows).to_have_count(1)
    await page.get_by_label("Outcome").select_option("passing")
    await page.get_by_role("row", name="Passed smoke on staging").wait_for()
    await expect(rows).to_have_count(1)
    await page.get_by_label("Time").select_option("last 24 hours")
    await page.get_by_role("row", name="Passed smoke on staging").wait_for()
    assert "days=1" in page.url
    await expect(rows).to_have_count(1)


async def test_keys_reach_everything(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    tests = [PASSED | {"title": f"works {number}"} for number in range(1, 100)]
    await client.submit(execution, 1, tests)
    page = await tab.open(f"/executions/{execution['executionId']}")
    await page.get_by_role("tab", name="Failures").focus()

    await page.keyboard.press("ArrowRight")
    await page.get_by_role("listbox", name="Tests").get_by_role("option").first.wait_for()
    await page.keyboard.press("/")
    await page.keyboard.type("works 9")
    await page.get_by_text("11 of 99 tests").wait_for()
    await page.get_by_role("listbox", name="Tests").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog", name="works 90").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")
    await page.keyboard.press("?")
    await page.get_by_role("dialog", name="Keys").wait_for()


async def test_an_address_that_means_nothing_leads_back(tab: Tab) -> None:
    page = await tab.open("/tests")
    await page.evaluate("history.pushState(null, '', '/nowhere'); dispatchEvent(new Event('popstate'))")
    await tab.see("There is nothing at this address.")
