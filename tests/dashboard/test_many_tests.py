"""An execution of 50,000 tests is looked at as easily as a small one."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.first_view import PAINT, SCRIPTS, SCROLL
from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARDS = 10
TESTS = 5_000


def many(shard: int) -> list[dict[str, Any]]:
    return [
        {
            "title": f"works {shard}.{number}",
            "file": f"tests/{number % 100}.py",
            "status": "passed",
            "duration": number % 977,
        }
        for number in range(TESTS - 1)
    ] + [{"title": f"breaks {shard}", "file": "tests/odd.py", "status": "failed", "error": f"odd {shard}"}]


async def test_50_000_tests_scroll_smoothly(tab: Tab, client: Client, report: Callable[[str], None]) -> None:
    execution = await client.create(shards=SHARDS)
    for shard in range(1, SHARDS + 1):
        await client.submit(execution, shard, many(shard), status="failed")

    page = await tab.open(f"/executions/{execution['executionId']}")
    await tab.see("10 of 50,000 tests failed")
    await page.get_by_role("button", name="breaks 10").wait_for()
    report(f"first paint after {await page.evaluate(PAINT):.0f} ms")
    scripts = await page.evaluate(SCRIPTS)
    report(f"script of {scripts / 1000:.0f} kB, compressed")
    assert scripts < 200_000

    await page.get_by_role("tab", name="All tests").click()
    await page.get_by_text("50,000 tests", exact=True).wait_for()
    frames = sorted(await page.evaluate(SCROLL))
    report(f"frames while scrolling: median {frames[60]:.1f} ms, p95 {frames[114]:.1f} ms, longest {frames[-1]:.1f} ms")
    await page.get_by_role("option", name="works 10.4").first.wait_for()
    assert await page.get_by_role("option").count() < 100, "only what is in sight is in the page"

    await page.get_by_role("button", name="Took").click()
    await page.get_by_role("button", name="Took").click()
    await page.get_by_label("Search").fill("breaks 7")
    await page.get_by_text("1 of 50,000 tests", exact=True).wait_for()
    await page.get_by_role("option", name="breaks 7").wait_for()
    assert "sort=-duration" in page.url
    assert "q=breaks+7" in page.url
