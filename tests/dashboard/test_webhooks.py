"""Webhooks: how they fare, what was sent, and sending it again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.dashboard.conftest import Tab
from tests.live.client import Client
from tests.receiver import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def test_a_delivery_that_was_given_up_is_sent_again(tab: Tab, client: Client, receiver: Receiver) -> None:
    receiver.answer("/hook", 500, 204)
    webhook = {"url": receiver.url("/hook"), "events": ["execution.completed"], "retryPolicy": {"maxRetries": 0}}
    status, made = await client.ask("POST", "/api/webhooks", webhook)
    assert status == 201, made
    execution = await client.create(shards=1)
    await client.submit(execution, 1, [{"title": "works", "status": "passed"}])

    page = await tab.open("/webhooks")
    await page.get_by_role("link", name=receiver.url("/hook")).click()
    row = page.get_by_role("row", name="execution.completed")
    await row.filter(has_text="given up").wait_for()
    await page.get_by_role("button", name="Refresh").click()
    await page.get_by_role("heading", name="Failing").wait_for()
    await row.get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="execution.completed")
    await dialog.get_by_text("answered 500").wait_for()
    await dialog.get_by_text(execution["executionId"]).first.wait_for()
    await dialog.get_by_role("button", name="Send again").click()
    await row.filter(has_text="delivered").wait_for()
    await page.get_by_role("heading", name="Works").wait_for()
    assert len(receiver.at("/hook")) == 2

    await page.get_by_role("button", name="Validate").click()
    await tab.see("It works: answered 204")
    await page.get_by_role("button", name="Pause").click()
    await tab.see("Paused: what happens from now on is kept, and can be sent later.")
    await page.get_by_role("heading", name="Paused").wait_for()
    await tab.open(f"/executions/{execution['executionId']}?tab=webhooks")
    await page.get_by_role("row", name="execution.completed").filter(has_text="delivered").wait_for()
