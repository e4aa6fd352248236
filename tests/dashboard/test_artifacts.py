"""Files that shards made, and what the commands of managed shards write, are looked at where they belong."""

import sys
from base64 import b64decode
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

# One blue pixel.
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNQSLgAAAH0AVEVkbhGAAAAAElFTkSuQmCC")

WAITS = """
import pathlib, time
print("begins", flush=True)
while not pathlib.Path({file!r}).exists():
    time.sleep(0.05)
print("ends")
"""


async def test_files_are_shown_beside_the_names_that_runners_told_of(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    execution_id = execution["executionId"]
    told = {"screenshots": ["pay/a.png"], "logs": ["run.log"]}
    await client.submit(execution, 1, [{"title": "pays", "status": "passed"}], artifacts=told)
    async with aiohttp.ClientSession(client.url, headers=client.headers) as session:
        binding = {"shardId": "1", "name": "pay/a.png", "test": "pays"}
        async with session.post(f"/api/executions/{execution_id}/artifacts", params=binding, data=PNG) as answer:
            assert answer.status == 201, await answer.text()

    page = await tab.open(f"/artifacts/{execution_id}")
    await page.get_by_role("heading", name="Shard 1, screenshots").wait_for()
    picture = page.get_by_role("img", name="pay/a.png of pays")
    await picture.wait_for()
    await picture.evaluate("image => image.decode()")
    await tab.see("run.log (was not uploaded)")
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name="pay/a.png", exact=True).click()
    await (await opened.value).locator("img").wait_for()


async def test_a_test_shows_its_files_with_the_attempt_they_are_of(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    execution_id = execution["executionId"]
    alike = [{"title": f"test_add_{number}", "status": "passed"} for number in range(150)]
    failed = {"title": "test_add", "status": "failed", "error": "no answer", "retries": 1}
    await client.submit(execution, 1, [*alike, failed], status="failed")
    async with aiohttp.ClientSession(client.url, headers=client.headers) as session:
        for attempt, test in ((1, "test_add"), (2, "test_add"), (1, "test_add_1")):
            binding = {"shardId": "1", "name": f"{test}-{attempt}.png", "test": test, "attempt": str(attempt)}
            async with session.post(f"/api/executions/{execution_id}/artifacts", params=binding, data=PNG) as answer:
                assert answer.status == 201, await answer.text()

    page = await tab.open(f"/executions/{execution_id}")
    await page.get_by_role("button", name="test_add", exact=False).filter(has_text="shard 1").click()
    dialog = page.get_by_role("dialog", name="test_add")
    attempts = dialog.locator(".attempt")
    await (
        attempts.filter(has_text="Attempt 2, the last")
        .get_by_role("link", name="test_add-2.png", exact=True)
        .wait_for()
    )
    await dialog.get_by_text("attempt 1").wait_for()
    await expect(dialog.get_by_role("img", name=".png")).to_have_count(2)


async def test_output_of_a_managed_shard_is_followed(tab: Tab, client: Client, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = WAITS.format(file=str(go))
    job = {"command": [sys.executable, "-c", code], "resources": {"cpus": 0.1}}
    status, made = await client.ask("PUT", "/api/jobs/waits", job)
    assert status == 201, made
    execution = await client.create(shards=1, provider="managed", job={"name": "waits"})

    page = await tab.open(f"/logs/{execution['executionId']}")
    await page.get_by_text("Shard 1 running").click()
    output = page.get_by_role("log", name="Output of shard 1")
    await output.get_by_text("begins").wait_for()
    go.touch()
    await output.get_by_text("ends").wait_for()
    await page.get_by_text("exit code 0").wait_for()
    assert (await output.inner_text()).count("begins") == 1
