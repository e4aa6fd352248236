"""Suites and tests over executions."""

import pytest

from tests.dashboard.conftest import Tab, digested
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSED = {"title": "logs in", "file": "login.py", "status": "passed", "duration": 20}
FLAKY = {"title": "pays", "file": "pay.py", "status": "passed", "duration": 900, "retries": 1}
FAILED = FLAKY | {"status": "failed", "error": "TimeoutError: no answer", "retries": 0}


async def ran(client: Client, *tests: dict[str, object]) -> str:
    """An execution that has ended with these tests."""
    execution = await client.create(shards=1, metadata={"branch": "main"})
    await client.submit(execution, 1, tests)
    return str(execution["executionId"])


async def test_a_suite_has_charts_and_its_worst_tests(tab: Tab, client: Client) -> None:
    for test in (PASSED, FLAKY, FAILED):
        await ran(client, PASSED, test)
    await digested(client, "pays", runs=2)

    page = await tab.open("/suites")
    for title in ("Pass rate", "Duration", "Failed and flaky tests"):
        await page.get_by_role("figure", name=title).locator("canvas").wait_for()
    rates = page.get_by_role("table", name="Pass rate").get_by_role("cell")
    assert await rates.all_inner_texts() == ["100 %", "100 %", "50 %"]
    await page.get_by_role("link", name="smoke on main").click()
    await page.get_by_role("heading", name="smoke on main").wait_for()
    flakiest = page.get_by_role("table", name="Flakiest tests").get_by_role("row").nth(1)
    await flakiest.get_by_text("pays").wait_for()
    await page.get_by_role("table", name="Slowest tests").get_by_text("logs in").wait_for()


async def test_a_test_has_every_run_and_is_put_into_quarantine(tab: Tab, client: Client) -> None:
    await ran(client, FLAKY)
    last = await ran(client, FAILED)
    await digested(client, "pays", runs=2)

    page = await tab.open(f"/executions/{last}")
    await page.get_by_role("button", name="pays").click()
    await page.get_by_role("link", name="Its history").click()
    await page.get_by_role("heading", name="Last failed pays").wait_for()
    rows = page.get_by_role("table", name="Runs, newest first").get_by_role("row")
    await rows.nth(1).get_by_text("TimeoutError: no answer").wait_for()
    await rows.nth(2).get_by_text("flaky").wait_for()
    await page.get_by_role("img", name="Latest 2 runs: 1 flaky, 1 failed").wait_for()

    await page.get_by_role("button", name="Put into quarantine").click()
    dialog = page.get_by_role("dialog", name="Quarantine")
    await dialog.get_by_label("Who takes care of it").fill("team-pay")
    await dialog.get_by_label("Why").fill("The bank's sandbox is slow")
    await dialog.get_by_role("button", name="Put into quarantine").click()
    await tab.see("The bank's sandbox is slow")
    await tab.open("/tests?only=quarantined")
    await page.get_by_role("row", name="pays").get_by_text("in quarantine").wait_for()
    await page.get_by_role("link", name="pays").click()
    await page.get_by_role("button", name="Take out of quarantine").click()
    await page.get_by_role("button", name="Put into quarantine").wait_for()
