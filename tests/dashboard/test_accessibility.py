"""axe-core finds no serious fault in any view, in light and dark, wide and narrow."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.dashboard.conftest import digested, opened
from tests.live.client import Client
from tests.running import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = ROOT / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1360, "height": 900}
TESTS: list[dict[str, Any]] = [
    {"title": "pays", "file": "pay.py", "status": "failed", "error": "no answer", "retries": 1, "duration": 900},
    {"title": "logs in", "status": "passed", "retries": 1, "duration": 20},
    {"title": "waits", "status": "skipped"},
]


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", PHONE)], ids=str)
async def test_axe_finds_no_serious_fault(browser: Browser, client: Client, scheme: str, size: dict[str, int]) -> None:
    ended = await client.create(shards=2, metadata={"branch": "main", "commit": "abc"})
    await client.submit(ended, 1, TESTS, status="failed", artifacts={"logs": ["a.log"]})
    await client.submit(ended, 2, TESTS[1:])
    running = await client.create(shards=3)
    await client.submit(running, 1, TESTS, status="failed")
    _, webhook = await client.ask(
        "POST", "/api/webhooks", {"url": "https://a.test/hook", "events": ["execution.started"]}
    )
    test = await digested(client, "pays")
    at = f"/executions/{ended['executionId']}"
    views = {
        "/": "1 failed",
        f"/executions/{running['executionId']}": "1 of 3 done",
        at: "no answer",
        f"{at}?tab=tests": "5 tests",
        f"{at}?tab=feed": "It has ended.",
        f"{at}?tab=artifacts": "a.log",
        f"{at}?tab=webhooks": "No webhook was told",
        f"{at}?tab=events": "execution.created",
        "/suites": "smoke on main",
        "/suites/smoke?branch=main": "Flakiest tests",
        "/tests": "pays",
        f"/tests/{test['testId']}": "Every run",
        "/webhooks": "https://a.test/hook",
        f"/webhooks/{webhook['webhookId']}": "Validate",
        "/system": "Ready",
    }
    async with opened(browser, client, color_scheme=scheme, viewport=size) as tab:
        for view, text in views.items():
            page = await tab.open(view)
            await tab.see(text)
            await page.evaluate(Path(AXE).read_text())
            found = await page.evaluate(RUN)
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            assert serious == [], f"{view}: {json.dumps(serious, indent=1)}"
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is too wide"
