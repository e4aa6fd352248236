"""The system view shows numbers that the server tells."""

import re

import aiohttp
import pytest

from tests.dashboard.conftest import Tab
from tests.live.client import Client
from tests.running import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIGURES = ROOT / "dashboards" / "web" / "src" / "system" / "figures.ts"


async def test_every_owner_courier_and_scheduler_is_named_and_rates_are_told(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1, [{"title": "works", "status": "passed"}])
    page = await tab.open("/system")

    await page.get_by_text("Ready", exact=True).wait_for()
    for name in ("Owners", "Couriers", "Schedulers"):
        table = page.get_by_role("region", name=name)
        await table.get_by_role("row").nth(1).get_by_text("up", exact=True).wait_for()
    requests = page.locator(".figures .card").first.locator("dd")
    await requests.filter(has_text="/s").wait_for()


async def test_the_server_has_every_number_that_is_shown(client: Client) -> None:
    shown = re.findall(r'metric: "(tms_\w+)"', FIGURES.read_text())
    async with aiohttp.ClientSession(client.url) as session, session.get("/metrics") as answer:
        told = set(re.findall(r"^# TYPE (\w+) ", await answer.text(), re.MULTILINE))

    assert len(shown) > 20
    assert {metric.removesuffix("_count") for metric in shown} - told == set()
