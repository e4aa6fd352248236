"""All executions of a tenant, against a real server."""

from typing import Any

from tests.live.client import Client, names, take, take_until
from tests.live.conftest import TokenMaker


def of(frames: list[dict[str, Any]], execution: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of one execution."""
    return [
        frame
        for frame in frames
        if execution["executionId"] in (frame.get("executionId"), frame.get("execution", {}).get("executionId"))
    ]


async def test_begins_with_what_has_not_ended_and_shows_what_comes(client: Client, token_for: TokenMaker) -> None:
    mine = client.at(token=await token_for(tenant="live-all"))
    ended, running = await mine.create(shards=1), await mine.create(shards=2)
    await mine.submit(ended)
    await mine.submit(running)
    async with mine.websocket("/api/live") as live:
        (snapshot,) = await take(live, 1)
        assert snapshot["seq"] == 3
        assert of([snapshot], running) == [snapshot]
        fresh = await mine.create(shards=1)
        await mine.submit(running, 2)
        frames = await take_until(live, "execution.completed")
        await mine.submit(fresh)
        frames += await take_until(live, "execution.completed")
    assert [frame["seq"] for frame in of(frames, running)] == [4, 5]
    assert [frame["seq"] for frame in of(frames, fresh)] == [1, 2, 3, 4]
    assert of(frames, ended) == []


async def test_results_that_replace_others_after_the_end_are_shown_too(client: Client, token_for: TokenMaker) -> None:
    mine = client.at(token=await token_for(tenant="live-late"))
    ended = await mine.create(shards=1)
    await mine.submit(ended)
    async with mine.websocket("/api/live?status=completed") as live, mine.websocket("/api/live") as everything:
        await mine.submit(ended, attempt=2)
        assert names(of(await take(everything, 1), ended))[0] in ("shard.completed", "snapshot")
        await mine.submit(ended, attempt=3)
        assert [frame["seq"] for frame in of(await take(live, 2), ended)] == [5, 6]


async def test_a_filter_shows_executions_by_suite_environment_and_status_after_the_event(
    client: Client, token_for: TokenMaker
) -> None:
    mine = client.at(token=await token_for(tenant="live-filter"))
    async with (
        mine.websocket("/api/live?testSuite=api&environment=production") as fitting,
        mine.websocket("/api/live?status=running") as running,
        mine.websocket("/api/live?status=completed") as completed,
    ):
        await mine.create(shards=1)
        wanted = await mine.create(shards=1, testSuite="api", environment="production")
        await mine.submit(wanted)
        assert {frame["executionId"] for frame in await take(fitting, 4)} == {wanted["executionId"]}
        assert names(await take(running, 2)) == ["execution.started", "shard.completed"]
        assert names(await take(completed, 1)) == ["execution.completed"]


async def test_another_tenant_sees_nothing_of_it(client: Client, token_for: TokenMaker) -> None:
    mine = client.at(token=await token_for(tenant="live-mine"))
    other = client.at(token=await token_for(tenant="live-other"))
    async with mine.websocket("/api/live") as ours, other.websocket("/api/live") as theirs:
        await mine.create()
        await take(ours, 1)
        seen = await other.create()
        (frame,) = await take(theirs, 1)
    assert frame["executionId"] == seen["executionId"]
