"""What somebody reads or types stays as it is while results stream in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.dashboard.conftest import Tab
from tests.dashboard.test_artifacts import PNG
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARDS = 1000
SENDERS = 4
PASSED = {"title": "logs in", "file": "login.py", "status": "passed", "duration": 20}


@asynccontextmanager
async def streaming(client: Client, execution: dict[str, Any]) -> AsyncIterator[None]:
    """Results of shard after shard, as fast as they are taken, for all that happens meanwhile."""

    async def send(first: int) -> None:
        for shard in range(first, SHARDS + 1, SENDERS):
            await client.submit(execution, shard, [PASSED | {"title": f"step {shard}"}])

    sending = asyncio.gather(*(send(first) for first in range(1, SENDERS + 1)))
    try:
        yield
        assert not sending.done()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_tests_are_searched_while_results_stream_in(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=SHARDS)
    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")
    async with streaming(client, execution):
        await page.get_by_role("option", name="step 1").first.wait_for()
        await page.get_by_label("Search").fill("step 2")
        await page.wait_for_url("**q=step+2")


async def test_the_table_of_ended_executions_stays_while_others_end(tab: Tab, client: Client) -> None:
    first, second = [await client.create(shards=1, testSuite=suite) for suite in ("smoke", "ui")]
    await client.submit(first, 1, [PASSED])
    page = await tab.open("/")
    table = page.get_by_role("table")
    await table.get_by_role("row", name="Passed smoke on staging").wait_for()
    await table.evaluate("table => { table.isKept = true }")

    await client.submit(second, 1, [PASSED])

    await table.get_by_role("row", name="Passed ui on staging").wait_for()
    assert await table.evaluate("table => table.isKept")


async def test_a_picture_stays_while_the_list_of_files_is_read_anew(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    path = f"/api/executions/{execution['executionId']}/artifacts"
    async with (
        aiohttp.ClientSession(client.url, headers=client.headers) as session,
        session.post(path, params={"shardId": "1", "name": "a.png"}, data=PNG) as answer,
    ):
        assert answer.status == 201, await answer.text()
    await tab.page.clock.install()
    page = await tab.open(f"/artifacts/{execution['executionId']}")
    picture = page.get_by_role("img", name="a.png of shard 1")
    await picture.evaluate("image => image.decode()")
    await picture.evaluate("image => { image.isKept = true }")
    source = await picture.get_attribute("src")

    await client.submit(execution, 1, [PASSED], artifacts={"logs": ["run.log"]})
    await page.get_by_text("1 of 2 done").first.wait_for()
    await page.clock.fast_forward(10_000)

    await tab.see("run.log (not uploaded so far)")
    assert await picture.evaluate("image => image.isKept")
    assert await picture.get_attribute("src") == source


async def test_of_many_events_only_those_in_sight_are_in_the_page(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=SHARDS)
    for shard in range(1, 101):
        await client.submit(execution, shard, [PASSED])
    page = await tab.open(f"/executions/{execution['executionId']}?tab=events")
    _, log = await client.ask("GET", f"/api/executions/{execution['executionId']}/events?limit=1000")
    events = page.get_by_role("listbox", name="Events")
    await page.get_by_role("tab", name=f"Events {log['lastSeq']}").wait_for()

    assert log["lastSeq"] > 100
    assert await page.locator("[data-seq]").count() < 60
    assert await page.locator("pre").count() == 0
    await events.focus()
    await page.keyboard.press("End")
    last = log["events"][-1]
    await page.locator(f"[data-seq='{last['seq']}']").wait_for()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Event {last['seq']}: {last['event']}")
    assert json.loads(await dialog.locator("pre").inner_text()) == last["data"]


async def test_the_feed_stays_where_somebody_reads_it(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=SHARDS)
    page = await tab.open(f"/executions/{execution['executionId']}?tab=feed")
    feed = page.get_by_role("listbox", name="Live feed")
    for shard in range(1, 61):
        await client.submit(execution, shard, [PASSED | {"title": f"step {shard}"}])
    await feed.get_by_role("option", name="step 60").wait_for()
    await feed.evaluate("list => { list.scrollTop = 1500 }")
    read = feed.get_by_role("option").filter(has_text="step").nth(15)
    title = await read.inner_text()
    place = await page.get_by_role("option", name=title).bounding_box()

    await client.submit(execution, 61, [PASSED | {"title": "step 61"}])

    await page.get_by_text("61 of 1,000 done").first.wait_for()
    assert await page.get_by_role("option", name=title).bounding_box() == place
    await page.get_by_role("option", name=title).click()
    await page.get_by_role("dialog", name="step").get_by_text("login.py").wait_for()
