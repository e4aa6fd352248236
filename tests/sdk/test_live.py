"""The live stream: every event once and in order, whatever happens to the connection."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tests.sdk.fake_tms import FakeTMS
from tms_sdk import ApiError, Retry, Unreachable
from tms_sdk.live import follow

QUICK = Retry(attempts=1000, first_delay=0.001, longest_delay=0.01, total=30.0)
ID = "exec_20250804000001"


def live(fake: FakeTMS, **options: Any) -> Any:
    return aclosing(follow(fake.url, fake.token, ID, retry=QUICK, **options))


async def collect(fake: FakeTMS, **options: Any) -> list[dict[str, Any]]:
    async with live(fake, **options) as frames:
        return [frame async for frame in frames]


def numbers(frames: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(frame["type"], frame["seq"]) for frame in frames]


def run_through(fake: FakeTMS, shards: int) -> None:
    """Let an execution happen from start to end: 2 x shards + 2 events."""
    fake.happen(ID, "execution.started", {"configuration": {"shards": shards}})
    for number in range(1, shards + 1):
        fake.happen(ID, "shard.started", {"shardId": str(number)})
        fake.happen(ID, "shard.completed", {"shardId": str(number), "status": "completed", "results": {"total": 1}})
    fake.happen(ID, "execution.completed", {"status": "completed"})


async def test_a_snapshot_comes_first_then_each_event_until_the_end(fake: FakeTMS) -> None:
    fake.add_execution(ID, configuration={"shards": 2})
    fake.happen(ID, "execution.created")
    frames = []
    async with live(fake) as stream:
        async for frame in stream:
            frames.append(frame)
            if frame["type"] == "snapshot":
                await asyncio.to_thread(run_through, fake, 2)
    assert numbers(frames) == [("snapshot", 1), *[("event", number) for number in range(2, 8)]]
    assert frames[0]["execution"]["status"] == "created"
    assert frames[-1]["event"] == "execution.completed"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_an_execution_that_has_ended_is_one_snapshot(fake: FakeTMS, status: str) -> None:
    fake.add_execution(ID)
    fake.happen(ID, f"execution.{status}")
    frames = await collect(fake)
    assert [(frame["type"], frame["execution"]["status"]) for frame in frames] == [("snapshot", status)]


async def test_it_goes_on_after_what_the_caller_has_seen(fake: FakeTMS) -> None:
    fake.add_execution(ID)
    run_through(fake, 1)
    assert numbers(await collect(fake, after=2)) == [("event", 3), ("event", 4)]


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012])
async def test_a_connection_that_ends_is_taken_up_where_it_stopped(fake: FakeTMS, code: int) -> None:
    fake.add_execution(ID)
    run_through(fake, 20)
    fake.closes.extend((frames, code) for frames in (0, 1, 3, 0, 0, 5, 2, 1))
    frames = await collect(fake, after=0)
    assert numbers(frames) == [("event", number) for number in range(1, 43)]
    positions = [seen for seen in fake.seen if seen.path.endswith("/live")]
    assert len(positions) == 9


async def test_a_reader_that_was_too_slow_gets_a_new_snapshot(fake: FakeTMS) -> None:
    fake.add_execution(ID)
    run_through(fake, 1)
    fake.closes.append((2, 4408))
    frames = await collect(fake, after=0)
    assert numbers(frames) == [("event", 1), ("event", 2), ("snapshot", 4)]


async def test_a_missing_event_is_asked_for_and_a_repeated_one_is_dropped(fake: FakeTMS) -> None:
    fake.add_execution(ID)
    run_through(fake, 5)
    fake.withheld = {3, 7, 8}
    fake.repeats = 2
    assert numbers(await collect(fake, after=0)) == [("event", number) for number in range(1, 13)]


async def test_who_may_not_look_or_looks_for_nothing_is_told_at_once(fake: FakeTMS) -> None:
    with pytest.raises(ApiError, match="unknown execution") as unknown:
        await collect(fake)
    assert unknown.value.status == 404
    fake.token = "another"
    with pytest.raises(ApiError, match="no right to look") as refused:
        async with aclosing(follow(fake.url, "wrong", ID, retry=QUICK)) as frames:
            await anext(frames)
    assert refused.value.status == 401


async def test_a_server_without_live_streams_is_told_as_such(fake: FakeTMS) -> None:
    with pytest.raises(ApiError, match="404"):
        async with aclosing(follow(f"{fake.url}/elsewhere", fake.token, ID, retry=QUICK)) as frames:
            await anext(frames)


async def test_a_server_that_stays_away_is_given_up(unused_tcp_port: int) -> None:
    retry = Retry(attempts=5, first_delay=0.001, total=60.0)
    with pytest.raises(Unreachable) as error:
        async with aclosing(follow(f"http://127.0.0.1:{unused_tcp_port}", "token", ID, retry=retry)) as frames:
            await anext(frames)
    assert error.value.attempts == 5
    assert "token" not in str(error.value).replace("TMS_TOKEN", "")
