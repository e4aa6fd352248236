"""A reader that does not read, against a real server: it harms only itself."""

import asyncio
import json
from typing import Any

from tests.live.client import Client, closed_with, narrow_socket, take

EVENT_BYTES = 60_000
ENOUGH_TO_OVERFLOW_ONCE = 60
ENOUGH_TO_OVERFLOW_TWICE = 120


async def happen(client: Client, execution: dict[str, Any], events: int) -> None:
    """So many large events."""
    for _ in range(events // 10):
        await asyncio.gather(*(client.progress(execution, note="x" * EVENT_BYTES) for _ in range(10)))


async def test_one_that_falls_behind_gets_a_snapshot_and_then_each_event(client: Client) -> None:
    execution = await client.create()
    with narrow_socket(client.url) as narrow:
        async with client.watch(execution, sock=narrow, max_queue=1) as slow, client.watch(execution) as quick:
            await take(quick, 1)
            reading = asyncio.create_task(take(quick, ENOUGH_TO_OVERFLOW_ONCE + 1))
            await happen(client, execution, ENOUGH_TO_OVERFLOW_ONCE)
            assert [frame["seq"] for frame in await reading] == list(range(2, ENOUGH_TO_OVERFLOW_ONCE + 3))
            frames = await take(slow, 1)
            while frames[-1]["seq"] < ENOUGH_TO_OVERFLOW_ONCE + 2:
                frames += await take(slow, 1)
            await client.submit(execution)
            frames += await take(slow, 1)
    jumps = [
        after["type"] for before, after in zip(frames, frames[1:], strict=False) if after["seq"] != before["seq"] + 1
    ]
    assert jumps == ["snapshot"]
    assert [frame["type"] for frame in frames].count("snapshot") == 2


async def test_one_that_never_reads_is_closed_with_4408(client: Client) -> None:
    execution = await client.create()
    with narrow_socket(client.url) as narrow:
        async with client.watch(execution, sock=narrow, max_queue=1) as slow, client.watch(execution) as quick:
            await take(quick, 1)
            reading = asyncio.create_task(take(quick, ENOUGH_TO_OVERFLOW_TWICE + 1))
            await happen(client, execution, ENOUGH_TO_OVERFLOW_TWICE)
            assert (await closed_with(slow))[0] == 4408
            assert [frame["seq"] for frame in await reading] == list(range(2, ENOUGH_TO_OVERFLOW_TWICE + 3))


async def test_one_that_was_cut_off_without_a_word_disturbs_nobody(client: Client) -> None:
    execution = await client.create(shards=1)
    async with client.watch(execution) as quick:
        for _ in range(3):
            gone = await client.watch(execution)
            await gone.recv()
            gone.transport.abort()
        await client.progress(execution, note="x")
        await client.submit(execution)
        frames = [json.loads(await quick.recv()) for _ in range(5)]
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]
