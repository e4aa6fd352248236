"""Files that shards made are looked at where they belong."""

from base64 import b64decode

import aiohttp
import pytest

from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

# One blue pixel.
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNQSLgAAAH0AVEVkbhGAAAAAElFTkSuQmCC")


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
