"""What happens while the page is open is seen without a reload."""

from datetime import UTC, datetime
from functools import partial

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Tab
from tests.live.client import Client
from tests.patience import eventually

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
ROUNDING = 0.02


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


async def test_bars_follow_what_shards_have_done(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    path = f"/api/executions/{execution['executionId']}"
    tests = [PASSED | {"title": f"step {number}"} for number in range(1, 5)]
    planned = [{"file": test["file"], "title": test["title"]} for test in tests]
    await client.ask("PUT", f"{path}/plan", {"mode": "queue", "tests": planned})
    _, lease = await client.ask("POST", f"{path}/claims", {"runnerId": "ci-1"})
    page = await tab.open("/")
    working = page.locator(f".shard >> nth={int(lease['shardId']) - 1}")
    other = page.locator(f".shard >> nth={2 - int(lease['shardId'])}")
    await page.locator(".shard.running").wait_for()

    async def is_filled(share: float) -> bool:
        fill, whole = await working.locator(".fill").bounding_box(), await working.bounding_box()
        return fill is not None and whole is not None and abs(fill["width"] / whole["width"] - share) < ROUNDING

    total = len(lease["tests"])
    for done, test in enumerate(lease["tests"][:-1], 1):
        record = {"runnerId": "ci-1", "leaseId": lease["leaseId"], "tests": [PASSED | {"title": test["title"]}]}
        status, answer = await client.ask("POST", f"{path}/shards/{lease['shardId']}/tests", record)
        assert (status, answer["accepted"]) == (200, 1), answer
        await eventually(partial(is_filled, done / total))
    assert await other.locator(".fill").count() == 0, "nothing moves where nobody works"


async def test_lanes_tell_of_lost_shards_replaced_results_and_slow_tests(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=3)
    await client.submit(execution, 1, [PASSED, FAILED], status="failed")
    await client.submit(execution, 1, [PASSED, FAILED | {"status": "passed"}])
    await client.submit(
        execution, 2, [PASSED | {"title": f"step {number}", "duration": number} for number in range(30)]
    )
    runner = client.at(token=execution["webhookToken"])
    ended = {"event": "execution.completed", "timestamp": datetime.now(UTC).isoformat()}
    told = ended | {"executionId": execution["executionId"], "data": {}}
    status, answer = await runner.ask("POST", execution["webhookUrl"], told)
    assert status == 200, answer

    page = await tab.open(f"/executions/{execution['executionId']}")
    first, second, third = [page.locator(".lanes > li").nth(index) for index in range(3)]
    await third.get_by_text("lost", exact=True).wait_for()
    lost, track = await third.locator(".span.lost").bounding_box(), await third.locator(".track").bounding_box()
    replaced, last = first.locator(".mark"), await second.locator(".span").bounding_box()
    await replaced.wait_for()
    await expect(replaced).to_have_count(1)
    assert lost is not None
    assert track is not None
    assert last is not None
    assert lost["x"] == track["x"], "all of its time is lost, from the start"
    assert lost["x"] + lost["width"] >= last["x"], "to the end"
    assert "a result that was replaced later" in str(await replaced.get_attribute("title"))
    await first.get_by_text("result 2").wait_for()
    assert await second.locator(".mark").count() == 0
    await first.get_by_text("slowest 1.3 s: pays by card").wait_for()
    await second.get_by_text("slowest 29 ms: step 29").wait_for()
    assert "28 ms step 28" in str(await second.locator(".span").get_attribute("title"))


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
    await expect(page.get_by_role("listbox", name="Tests").get_by_role("option")).to_have_count(3)
    await page.get_by_role("tab", name="Live feed").click()
    await page.get_by_role("listbox", name="Live feed").get_by_text("Shard 1 was claimed by ci-1").wait_for()
