"""Suites and tests over executions."""

import aiohttp
import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Tab, digested
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSED = {"title": "logs in", "file": "login.py", "status": "passed", "duration": 20}
FLAKY = {"title": "pays", "file": "pay.py", "status": "passed", "duration": 900, "retries": 1}
FAILED = FLAKY | {"status": "failed", "error": "TimeoutError: no answer", "retries": 0}


RETRIED = b"""<testsuite><testcase classname="pay" name="pays twice" time="0.9">
<flakyFailure message="too cold" time="0.1"/></testcase></testsuite>"""


async def ran(client: Client, *tests: dict[str, object], branch: str = "main") -> str:
    """An execution that has ended with these tests."""
    execution = await client.create(shards=1, metadata={"branch": branch})
    await client.submit(execution, 1, tests)
    return str(execution["executionId"])


async def test_a_suite_has_charts_and_its_worst_tests(tab: Tab, client: Client) -> None:
    await ran(client, PASSED | {"title": "only elsewhere", "duration": 5000}, branch="other")
    for test in (PASSED, FLAKY, FAILED):
        await ran(client, PASSED, test)
    await digested(client, "pays", runs=2)

    page = await tab.open("/suites")
    for title in ("Pass rate", "Duration", "Failed and flaky tests"):
        await page.get_by_role("figure", name=title).first.locator("canvas").wait_for()
    suite = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="smoke on main"))
    rates = suite.get_by_role("table", name="Pass rate").get_by_role("cell")
    await expect(rates).to_have_text(["100 %", "100 %", "50 %"])
    await page.get_by_role("link", name="smoke on main").click()
    await page.get_by_role("heading", name="smoke on main").wait_for()
    flakiest = page.get_by_role("table", name="Flakiest tests").get_by_role("row").nth(1)
    await flakiest.get_by_text("pays").wait_for()
    slowest = page.get_by_role("region", name="Slowest tests")
    names = slowest.get_by_role("table", name="Slowest tests").locator("td .name")
    await expect(names).to_have_text(["pays", "logs in"])  # what ran on other branches alone is not among them
    took = slowest.get_by_role("figure", name="pays").get_by_role("cell")
    await expect(took).to_have_text(["900 ms", "900 ms"])
    flaky = page.get_by_role("region", name="Flakiest tests").get_by_role("figure", name="pays").get_by_role("cell")
    await expect(flaky).to_have_text(["1", "1"])
    await slowest.get_by_role("figure", name="pays").get_by_role("link", name="pays").click()
    await page.get_by_role("heading", name="Last failed pays").wait_for()


async def test_executions_without_a_branch_are_a_branch_of_their_own(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1, [PASSED])
    await digested(client, "logs in")
    await ran(client, FAILED)
    await digested(client, "pays")

    page = await tab.open("/suites")
    await page.get_by_role("link", name="smoke on no branch").click()
    await page.get_by_role("heading", name="smoke on no branch").wait_for()
    names = page.get_by_role("table", name="Slowest tests").locator("td .name")
    await expect(names).to_have_text(["logs in"])


async def test_a_run_has_every_attempt_that_was_told_of(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    async with aiohttp.ClientSession(client.url, headers=client.headers) as session:
        path = f"/api/executions/{execution['executionId']}/reports"
        async with session.post(path, params={"shardId": "1"}, data=RETRIED) as answer:
            assert answer.status == 201, await answer.text()
    untold = FLAKY | {"title": "pays thrice", "retries": 2}
    await ran(client, untold)
    told, other = await digested(client, "pays twice"), await digested(client, "pays thrice")

    page = await tab.open(f"/tests/{told['testId']}")
    attempts = page.get_by_role("list", name="Attempts").get_by_role("listitem")
    await attempts.first.wait_for()
    assert [text.split() for text in await attempts.all_inner_texts()] == [
        ["failed", "100", "ms", "too", "cold"],
        ["passed", "900", "ms"],
    ]
    await tab.open(f"/tests/{other['testId']}")
    await tab.see("2 attempts before, of which nothing was told")
    await expect(attempts).to_have_count(1)


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
