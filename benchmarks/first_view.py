"""How soon an execution of very many tests is to be seen in a real browser, and how smoothly its tests scroll."""

import shutil

import msgspec
from playwright.sync_api import Browser, sync_playwright

from benchmarks.client import CREATED, Address, send_all
from benchmarks.figures import Figure, figure, median
from benchmarks.live_scale import Scale
from benchmarks.steps import Steps
from gateway.handlers.dashboard import BUILT

SHARDS = 10
LOOKS = 5

_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_TOKEN_KEY = "tms.token"  # noqa: S105 - the name under which the dashboard keeps it
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SCRIPTS = """performance.getEntriesByType('resource').filter(one => one.name.endsWith('.js'))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
_NOW = "performance.now()"
SCROLL = """async () => {
  const list = document.querySelector('[role=listbox]');
  const times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < 120; frame += 1) {
    list.scrollTop = (list.scrollHeight * frame) / 120;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}"""


class BrowserMissing(Exception):
    """There is no browser, or no dashboard to look at."""


class Look(msgspec.Struct, frozen=True):
    """One visit, with nothing cached: milliseconds, and bytes of script as they were sent."""

    paint: float
    failures: float
    scripts: float
    frames: list[float]


def measure(address: Address, scale: Scale, steps: Steps) -> list[Figure]:
    """All visits.

    Raises:
        BrowserMissing: Chromium is not installed, or the dashboard not built.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BrowserMissing("The first view needs Chromium: apt-get install chromium")
    if not (BUILT / "index.html").is_file():
        raise BrowserMissing("The first view needs the dashboard: make dashboard")
    tests = scale.viewed_tests
    with steps.step(f"an execution of {tests:,} tests"):
        execution_id = _executed(address, tests)
    looks: list[Look] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_OPTIONS)
        for number in range(1, LOOKS + 1):
            with steps.step(f"looking at it in Chromium, visit {number}"):
                looks.append(_look(browser, address, execution_id, tests))
        browser.close()
    frames = sorted(frame for look in looks for frame in look.frames)
    return [
        figure(f"first paint, {tests:,} tests", median([look.paint for look in looks]), "ms", at_most=1000),
        figure(f"its failed tests to be seen, {tests:,} tests", median([look.failures for look in looks]), "ms"),
        figure("script of the dashboard, compressed", looks[0].scripts / 1000, "kB", at_most=200),
        figure("p50 of frames while all tests scroll", median(frames), "ms"),
        figure("p95 of frames while all tests scroll", frames[int(0.95 * len(frames))], "ms"),
    ]


def _look(browser: Browser, address: Address, execution_id: str, tests: int) -> Look:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.add_init_script(f"sessionStorage.setItem({_TOKEN_KEY!r}, {address.token!r})")
        page.goto(f"http://{address.host}:{address.port}/executions/{execution_id}")
        page.get_by_text(f"{SHARDS} of {tests:,} tests failed").first.wait_for()
        failures = page.evaluate(_NOW)
        paint, scripts = page.evaluate(PAINT), page.evaluate(SCRIPTS)
        page.get_by_role("tab", name="All tests").click()
        page.get_by_text(f"{tests:,} tests", exact=True).wait_for()
        return Look(paint, failures, scripts, page.evaluate(SCROLL))
    finally:
        context.close()


def _executed(address: Address, tests: int) -> str:
    """An execution with one failed test in each shard."""
    wanted = {
        "testSuite": "regression",
        "environment": "staging",
        "provider": "github-actions",
        "configuration": {"shards": SHARDS},
    }
    created = address.request("POST", "/api/executions", msgspec.json.encode(wanted))
    (answer,) = send_all(address, [created], CREATED)
    execution_id: str = msgspec.json.decode(answer)["executionId"]
    submissions = [
        {
            "executionId": execution_id,
            "shardId": str(shard),
            "status": "failed",
            "tests": [
                {
                    "title": f"works {shard}.{number}",
                    "file": f"tests/{number % 100}.py",
                    "status": "passed" if number else "failed",
                    "duration": number % 977,
                }
                for number in range(tests // SHARDS)
            ],
        }
        for shard in range(1, SHARDS + 1)
    ]
    send_all(
        address, [address.request("POST", "/api/results", msgspec.json.encode(one)) for one in submissions], CREATED
    )
    return execution_id
