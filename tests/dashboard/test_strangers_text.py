"""Titles, errors and branches are strangers' text: whatever is in them, it is only shown."""

import pytest

from tests.dashboard.conftest import Tab
from tests.live.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TURNED = "safe\u202egpj.exe"
LONG = "long " + "x" * 9_995
EMOJI = "👩‍👩‍👧‍👦 zahlt שלום مرحبا"
TITLES = (SCRIPT, TURNED, LONG, EMOJI, "javascript:alert(3)", "{{7*7}} ${7*7}", "\x07bell\nline")


async def test_hostile_text_is_shown_and_does_nothing(tab: Tab, client: Client) -> None:
    tests = [
        {"title": title, "file": title[:900], "status": "failed", "error": title, "tags": [title[:50]]}
        for title in TITLES
    ]
    execution = await client.create(
        shards=1,
        provider=SCRIPT,
        metadata={"branch": SCRIPT, "commit": TURNED, "buildNumber": LONG, "triggeredBy": EMOJI},
    )
    await client.submit(execution, 1, tests, status="failed", artifacts={"logs": list(TITLES)})

    for view in (
        "/",
        *(
            f"/executions/{execution['executionId']}?tab={name}"
            for name in ("failures", "tests", "artifacts", "events")
        ),
    ):
        page = await tab.open(view)
        await tab.see(SCRIPT)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            "nothing is pushed out of sight"
        )
        assert await page.locator("main img, main script").count() == 0

    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")
    await tab.see("safe⟨202E⟩gpj.exe")
    await tab.see(EMOJI)
    await page.get_by_role("option", name="long xxx").click()
    heading = page.get_by_role("dialog").get_by_role("heading", level=2)
    await heading.wait_for()
    assert len(await heading.inner_text()) <= 1001
