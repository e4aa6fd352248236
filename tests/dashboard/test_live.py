"""What happens while the page is open is seen without a reload."""

import pytest

from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAILED = {
    "title": "pays by card",
    "file": "pay.spec.js",
    "status": "failed",
    "duration": 1250,
    "retries": 1,
    "error": "TimeoutError: no answer within 3000 ms\n    at pay.spec.js:7:11",
}
ALIKE = FAILED | {
    "title": "pays by invoice",
    "error": "TimeoutError: no answer within 5000 ms\n    at pay.spec.js:9:11",
}
PASSED = {"title": "logs in", "file": "login.spec.js", "status": "passed", "duration": 20}


async def test_an_execution_starts_runs_and_fails_while_the_page_is_open(tab: Tab, client: Client) -> None:
    page = await tab.open("/")
    await tab.see("Nothing runs at the moment")
    await page.evaluate("window.untouched = true")

    execution = await client.create(shards=2, metadata={"branch": "main", "commit": "abc123"})
    await page.get_by_role("link", name="smoke on staging").click()
    await page.get_by_role("heading", name="Waiting smoke on staging").wait_for()

    await client.submit(execution, 1, [PASSED, FAILED, ALIKE], status="failed")
    await page.get_by_role("heading", name="Running, 2 failed smoke on staging").wait_for()
    await tab.see("TimeoutError: no answer within # ms")
    await page.get_by_role("button", name="pays by invoice").click()
    await page.get_by_role("dialog").get_by_text("no answer within 5000 ms").wait_for()
    await page.keyboard.press("Escape")

    await client.submit(execution, 2, [], status="error")
    await page.get_by_role("heading", name="Broken smoke on staging").wait_for()
    await page.get_by_role("tab", name="Events").click()
    _, log = await client.ask("GET", f"/api/executions/{execution['executionId']}/events")
    await page.locator(f"[data-seq='{log['lastSeq']}']").wait_for()
    numbers = await page.locator("[data-seq]").evaluate_all("rows => rows.map(row => Number(row.dataset.seq))")
    assert numbers == list(range(1, log["lastSeq"] + 1))
    assert await page.evaluate("window.untouched"), "the page was never loaded anew"


async def test_a_list_moves_what_has_ended(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    page = await tab.open("/")
    await page.get_by_role("heading", name="Under way 1").wait_for()

    await client.submit(execution, 1, [PASSED])

    await page.get_by_role("heading", name="Under way 0").wait_for()
    await page.get_by_role("row", name="Passed smoke on staging").wait_for()


async def test_tests_come_in_while_a_shard_runs_and_a_result_that_is_sent_again_replaces_them(
    tab: Tab, client: Client
) -> None:
    execution = await client.create(shards=2)
    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")
    await client.submit(execution, 1, [PASSED, FAILED], status="failed")
    await page.get_by_role("option", name="pays by card").wait_for()

    await client.submit(execution, 1, [PASSED])

    await page.get_by_role("option", name="pays by card").wait_for(state="detached")
    await page.get_by_role("option", name="logs in").wait_for()
    await tab.see("result 2")


async def test_an_execution_is_cancelled_from_the_page(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    page = await tab.open(f"/executions/{execution['executionId']}")

    await page.get_by_role("button", name="Cancel execution").click()
    dialog = page.get_by_role("dialog", name="Cancel this execution?")
    await dialog.get_by_label("Reason").fill("A newer commit came")
    await dialog.get_by_role("button", name="Cancel execution").click()

    await page.get_by_role("heading", name="Cancelled smoke on staging").wait_for()
    await tab.see("A newer commit came")
    status, state = await client.ask("GET", f"/api/executions/{execution['executionId']}")
    assert (status, state["reason"]) == (200, "A newer commit came")


async def test_tests_of_a_plan_come_in_one_by_one(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    path = f"/api/executions/{execution['executionId']}"
    tests = [PASSED | {"title": f"step {number}"} for number in range(1, 4)]
    planned = [{"file": test["file"], "title": test["title"]} for test in tests]
    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")

    await client.ask("PUT", f"{path}/plan", {"mode": "queue", "tests": planned})
    await tab.see("0 of 3 tests reported")
    _, lease = await client.ask("POST", f"{path}/claims", {"runnerId": "ci-1"})
    for number, test in enumerate(tests, 1):
        record = {"runnerId": "ci-1", "leaseId": lease["leaseId"], "tests": [test]}
        status, answer = await client.ask("POST", f"{path}/shards/1/tests", record)
        assert (status, answer["accepted"]) == (200, 1), answer
        await page.get_by_role("option", name=f"step {number}").wait_for()
        await tab.see(f"{number} of 3 tests reported")
    await client.submit(execution, 1)

    await page.get_by_role("heading", name="Passed smoke on staging").wait_for()
    assert await page.get_by_role("listbox", name="Tests").get_by_role("option").count() == 3
    await page.get_by_role("tab", name="Live feed").click()
    await page.get_by_role("log").get_by_text("Shard 1 was claimed by ci-1").wait_for()
