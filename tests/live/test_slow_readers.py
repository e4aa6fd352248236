"""A reader that does not read, against a real server: it harms only itself."""

import asyncio
import json
from itertools import pairwise
from typing import Any

from tests.live.client import Client, RawReader, narrow_socket, take

EVENT_BYTES = 60_000
ENOUGH_TO_OVERFLOW = 60
MOST_SHARDS = 1000
"""Their snapshot is more than a connection holds."""


async def happen(client: Client, execution: dict[str, Any], events: int) -> None:
    """So many large events."""
    for _ in range(events // 10):
        await asyncio.gather(*(client.progress(execution, note="x" * EVENT_BYTES) for _ in range(10)))


async def test_one_that_falls_behind_gets_a_snapshot_and_then_each_event(client: Client) -> None:
    execution = await client.create()
    with narrow_socket(client.url) as narrow:
        async with client.watch(execution, sock=narrow, max_queue=1) as slow, client.watch(execution) as quick:
            await take(quick, 1)
            reading = asyncio.create_task(take(quick, ENOUGH_TO_OVERFLOW + 1))
            await happen(client, execution, ENOUGH_TO_OVERFLOW)
            assert [frame["seq"] for frame in await reading] == list(range(2, ENOUGH_TO_OVERFLOW + 3))
            frames = await take(slow, 1)
            while frames[-1]["seq"] < ENOUGH_TO_OVERFLOW + 2:
                frames += await take(slow, 1)
            await client.submit(execution)
            frames += await take(slow, 1)
    jumps = [after["type"] for before, after in pairwise(frames) if after["seq"] != before["seq"] + 1]
    assert jumps == ["snapshot"]
    assert [frame["type"] for frame in frames].count("snapshot") == 2


async def test_one_that_falls_behind_again_while_it_takes_the_snapshot_is_closed(client: Client) -> None:
    execution = await client.create(shards=MOST_SHARDS, metadata={"note": "x" * EVENT_BYTES})
    slow = await RawReader.connected(client, f"/api/executions/{execution['executionId']}/live")
    await happen(client, execution, ENOUGH_TO_OVERFLOW)
    while slow.raw.count(b'"type":"snapshot"') < 2:
        assert await slow.read()
    await happen(client, execution, ENOUGH_TO_OVERFLOW)
    while slow.protocol.close_rcvd is None:
        assert await slow.read()
    slow.close()
    assert slow.protocol.close_rcvd.code == 4408


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
