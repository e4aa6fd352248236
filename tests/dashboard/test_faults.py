"""What the network and the server do wrong: the page says so, goes on by itself, and takes no fault for the truth."""

import json
from collections.abc import Callable

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from tests.dashboard.conftest import Tab
from tests.live.client import Client, Json
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSED = {"title": "logs in", "status": "passed", "duration": 20}
FAILED = {"title": "pays", "status": "failed", "error": "no answer"}

LIVE = "**/api/executions/*/live*"
BROKEN: Json = {"error": {"code": "INTERNAL_ERROR", "message": "It broke", "details": [], "requestId": "req_1"}}


class Valve:
    """Connections between page and server, which let through what they are told to.

    Attributes:
        connections: how many the page has made.
        held: what came from the server and waits.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.held: list[str | bytes] = []
        self._is_open = True
        self._page: WebSocketRoute | None = None

    def join(self, page: WebSocketRoute) -> None:
        """Take a new connection of the page; those before hear nothing any more."""
        self.connections += 1
        self._page = page
        self._is_open = True
        self.held.clear()
        server = page.connect_to_server()
        server.on_message(lambda message: self._pass_on(page, message))

    def close(self) -> None:
        """From now on what comes from the server waits."""
        self._is_open = False

    def release(self, until: str | None = None) -> None:
        """Let through what waits, up to an event; without one all, and what comes from now on."""
        assert self._page is not None
        self._is_open = until is None
        while self.held:
            message = self.held.pop(0)
            self._page.send(message)
            if until is not None and json.loads(message).get("event") == until:
                return

    async def holds(self, event: str) -> None:
        """Wait until an event waits."""

        async def is_held() -> bool:
            return any(json.loads(message).get("event") == event for message in self.held)

        await eventually(is_held)

    def _pass_on(self, page: WebSocketRoute, message: str | bytes) -> None:
        if page is not self._page:
            return
        if self._is_open:
            page.send(message)
        else:
            self.held.append(message)


def failing(times: int, **answer: object) -> Callable[[Route], object]:
    """Requests that are answered so, until they were so often; then the server answers."""
    left = [times]

    async def handle(route: Route) -> None:
        left[0] -= 1
        await (route.fulfill(**answer) if left[0] >= 0 else route.continue_())  # type: ignore[arg-type] # as it takes them

    return handle


async def seen_events(tab: Tab) -> list[int]:
    rows = await tab.page.locator("[data-seq]").evaluate_all("rows => rows.map(row => Number(row.dataset.seq))")
    return list(rows)


async def test_no_event_is_lost_where_the_state_is_read_before_the_events_come(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    path = f"/api/executions/{execution['executionId']}"
    planned = [{"file": "login.spec.js", "title": "logs in"}]
    status, answer = await client.ask("PUT", f"{path}/plan", {"mode": "queue", "tests": planned})
    assert status == 201, answer
    await client.submit(execution, 2, [PASSED, FAILED], status="failed")
    valve = Valve()
    await tab.page.route_web_socket(LIVE, valve.join)
    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")
    await page.get_by_role("option", name="pays").wait_for()

    valve.close()
    status, answer = await client.ask("POST", f"{path}/claims", {"runnerId": "ci-1"})
    assert status == 200, answer
    await client.submit(execution, 2, [PASSED])
    await valve.holds("shard.completed")
    async with page.expect_response(lambda answer: answer.url.endswith(path)):
        valve.release("shard.claimed")  # which does not say all: the page reads what has changed
    await page.get_by_role("heading", name="Running smoke on staging").wait_for()
    valve.release()

    await page.get_by_role("option", name="pays").wait_for(state="detached")
    await page.get_by_role("tab", name="Live feed").click()
    feed = page.get_by_role("listbox", name="Live feed").get_by_role("option")
    await feed.filter(has_text="Shard 1 was claimed by ci-1").wait_for()
    await feed.filter(has_text="Shard 2").first.wait_for()
    await page.get_by_role("tab", name="Events").click()
    _, log = await client.ask("GET", f"{path}/events")
    await page.locator(f"[data-seq='{log['lastSeq']}']").wait_for()
    assert await seen_events(tab) == list(range(1, log["lastSeq"] + 1))


async def test_a_connection_that_died_without_a_word_is_replaced_when_the_network_is_back(
    tab: Tab, client: Client
) -> None:
    execution = await client.create(shards=2)
    valve = Valve()
    await tab.page.route_web_socket(LIVE, valve.join)
    page = await tab.open(f"/executions/{execution['executionId']}")
    await page.get_by_role("status").get_by_text("Live", exact=True).wait_for()

    valve.close()
    await client.submit(execution, 1, [PASSED])
    await valve.holds("shard.completed")
    await page.evaluate("dispatchEvent(new Event('online'))")

    await tab.see("1 of 2 done")
    assert valve.connections == 2


async def test_the_page_is_not_live_while_the_execution_that_it_shows_is_away(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    doors = [True]

    async def answer(page: WebSocketRoute) -> None:
        if doors[0]:
            page.connect_to_server()
        else:
            await page.close(code=1013)

    await tab.page.route_web_socket(LIVE, answer)
    page = await tab.open(f"/executions/{execution['executionId']}")
    sign = page.locator(".liveness")
    await expect(sign).to_have_text("Live")

    doors[0] = False
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(sign).to_have_text("Away")
    await tab.see("No connection to the server since")

    doors[0] = True
    await expect(sign).to_have_text("Live", timeout=15_000)


async def test_a_proxy_that_cannot_reach_the_server_is_waited_for(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=2)
    tab.expect_failures()
    answers = failing(2, status=502, body="<html>Bad Gateway</html>")
    await tab.page.route(f"**/api/executions/{execution['executionId']}", answers)

    page = await tab.open(f"/executions/{execution['executionId']}")

    await tab.see("The server cannot be reached. This page goes on by itself as soon as it can.")
    await page.get_by_role("heading", name="Waiting smoke on staging").wait_for()
    await page.get_by_text("The server cannot be reached").wait_for(state="detached")


async def test_tests_that_cannot_be_read_are_not_taken_for_none(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1, [PASSED])
    tab.expect_failures()
    await tab.page.route("**/api/executions/*/tests?limit=1000*", failing(3, status=500, json=BROKEN))

    page = await tab.open(f"/executions/{execution['executionId']}?tab=tests")

    await tab.see("It broke")
    await tab.see("It is tried again by itself.")
    assert not await page.get_by_text("No single tests were reported.").is_visible()
    await page.get_by_role("option", name="logs in").wait_for()
    await page.get_by_text("It broke").wait_for(state="detached")


async def test_a_log_that_may_not_be_read_is_read_when_told_to(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    tab.expect_failures()
    await tab.page.route("**/api/executions/*/events*", failing(1, status=429, json=BROKEN))

    page = await tab.open(f"/executions/{execution['executionId']}?tab=events")

    await tab.see("It broke")
    assert not await page.get_by_text("The log is being read").is_visible()
    await page.get_by_role("button", name="Try again").click()
    await page.locator("[data-seq='1']").wait_for()
    await page.get_by_text("It broke").wait_for(state="detached")


async def test_what_runs_is_seen_to_have_ended_though_reading_it_failed_at_first(tab: Tab, client: Client) -> None:
    execution = await client.create(shards=1)
    doors: list[WebSocketRoute] = []
    is_open = True

    def join(page: WebSocketRoute) -> None:
        if is_open:
            page.connect_to_server()
            doors.append(page)

    await tab.page.route_web_socket("**/api/live", join)
    page = await tab.open("/")
    await page.get_by_role("heading", name="Under way 1").wait_for()

    is_open = False
    await doors[0].close(code=1013)
    await client.submit(execution, 1, [PASSED])
    tab.expect_failures()
    await page.route("**/api/executions?status=*", failing(2, status=502, body=""))
    is_open = True
    await page.evaluate("dispatchEvent(new Event('online'))")

    await page.get_by_role("heading", name="Under way 0").wait_for()
    await page.get_by_role("row", name="Passed smoke on staging").wait_for()


async def test_the_time_left_is_told_of_former_executions(tab: Tab, client: Client) -> None:
    former = await client.create(shards=1)
    await client.submit(former, 1, [PASSED], duration=3_600_000)
    execution = await client.create(shards=2)
    await client.progress(execution)

    page = await tab.open(f"/executions/{execution['executionId']}")

    await page.locator("dl.facts").get_by_text("Left").wait_for()
