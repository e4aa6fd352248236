"""The server is killed and comes back; the page goes on by itself and has missed nothing."""

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from tests.dashboard.conftest import opened
from tests.live.client import Client
from tests.running import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSED = {"title": "logs in", "status": "passed", "duration": 20}
FAILED = {"title": "pays", "status": "failed", "error": "no answer"}


async def test_the_page_recovers_from_a_killed_server_with_no_event_missing(browser: Browser, tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        async with aiohttp.ClientSession() as session:
            client = Client(session, server.url, server.token)
            execution = await client.create(shards=6)
            other = await client.create(shards=1, testSuite="ui")
            async with opened(browser, client) as tab:
                page = await tab.open(f"/executions/{execution['executionId']}?tab=events")
                await client.submit(execution, 1, [PASSED])
                await page.get_by_text("1 of 6 done").wait_for()
                await page.evaluate("window.untouched = true")

                tab.expect_failures()
                server.kill_all()
                await tab.see("No connection to the server since")
                server.start()
                for shard in range(2, 7):
                    await client.submit(execution, shard, [FAILED], status="failed")
                await client.submit(other, 1, [PASSED])

                await page.get_by_role("heading", name="5 failed smoke on staging").wait_for()
                await page.get_by_text("No connection to the server since").wait_for(state="detached")
                _, log = await client.ask("GET", f"/api/executions/{execution['executionId']}/events")
                await page.locator(f"[data-seq='{log['lastSeq']}']").wait_for()
                seen = await page.locator("[data-seq]").evaluate_all("rows => rows.map(row => Number(row.dataset.seq))")
                assert seen == list(range(1, log["lastSeq"] + 1))
                await page.get_by_role("tab", name="Failures").click()
                await tab.see("5 failed tests in 1 group of like errors")
                await page.get_by_role("link", name="TMS").click()
                await page.get_by_role("heading", name="Under way 0").wait_for()
                await page.get_by_role("row", name="Passed ui on staging").wait_for()
                assert await page.evaluate("window.untouched"), "the page was never loaded anew"
