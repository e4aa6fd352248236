"""What readers notice when parts of the server go away: at most that they are told to come back."""

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import ClientConnection

from tests.live.client import Client, closed_with, take
from tests.patience import eventually
from tests.running import RunningServer


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server to take parts away from."""
    with RunningServer(tmp_path_factory.mktemp("fragile") / "data", partitions="1") as running:
        yield running


@pytest.fixture
def client(session: aiohttp.ClientSession, fragile: RunningServer) -> Client:
    return Client(session, fragile.url, fragile.token)


async def valkey_of(server: RunningServer, other_than: int = 0) -> psutil.Process:
    """Its Valkey, once it runs."""
    found: list[psutil.Process] = []

    async def is_there() -> bool:
        found[:] = [one for one in server.family() if one.name() == "valkey-server" and one.pid != other_than]
        return bool(found)

    await eventually(is_there)
    return found[0]


async def read_dense(websocket: ClientConnection, last: int, newest: int) -> None:
    """Events up to a number, without a gap."""
    while last < newest:
        (frame,) = await take(websocket, 1)
        assert (frame["type"], frame["seq"]) == ("event", last + 1)
        last += 1


async def test_readers_are_served_from_the_log_while_the_bus_is_away(fragile: RunningServer, client: Client) -> None:
    execution = await client.create()
    async with client.watch(execution) as one, client.websocket("/api/live") as everything:
        await asyncio.gather(take(one, 1), take(everything, 1))
        bus = await valkey_of(fragile)
        bus.suspend()
        for _ in range(5):
            await client.progress(execution, note="while it does not answer")
        bus.kill()
        fresh = await client.create(shards=1)
        await client.submit(fresh)
        await read_dense(one, 1, 7)
        await valkey_of(fragile, other_than=bus.pid)
        for _ in range(5):
            await client.progress(execution, note="when it is back")
        await read_dense(one, 7, 12)
        seen: dict[str, list[int]] = {}
        while len(seen.get(fresh["executionId"], [])) < 4 or len(seen.get(execution["executionId"], [])) < 11:
            (frame,) = await take(everything, 1)
            seen.setdefault(frame["executionId"], []).append(frame["seq"])
    assert seen == {execution["executionId"]: list(range(2, 13)), fresh["executionId"]: [1, 2, 3, 4]}


async def test_readers_stay_while_postgres_is_away(fragile: RunningServer, client: Client) -> None:
    execution = await client.create()
    async with client.watch(execution, "?tests=1") as live:
        await take(live, 1)
        postmaster = psutil.Process(int((fragile.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
        postmaster.kill()
        await asyncio.to_thread(postmaster.wait, 30)
        await submitted(client, execution)
        frames = await take(live, 3)
    assert [frame.get("seq", frame.get("n")) for frame in frames] == [2, 3, 1]


async def submitted(client: Client, execution: dict[str, Any]) -> None:
    """Results, sent until they are taken."""

    async def is_taken() -> bool:
        body = {"executionId": execution["executionId"], "shardId": "1", "status": "completed"}
        status, _ = await client.ask("POST", "/api/results", body | {"tests": [{"title": "t", "status": "passed"}]})
        return status == 201

    await eventually(is_taken, 60)


async def test_all_are_told_to_come_back_when_it_stops(fragile: RunningServer, client: Client) -> None:
    execution = await client.create()
    path = f"/api/executions/{execution['executionId']}/live"
    async with (
        client.watch(execution) as one,
        client.websocket("/api/live") as everything,
        client.stream(path) as stream,
    ):
        assert await stream.next() is not None
        stopping = asyncio.create_task(asyncio.to_thread(fragile.stop))
        assert (await closed_with(one))[0] == 1001
        assert (await closed_with(everything))[0] == 1001
        assert await stream.next() is None
        assert await stopping == 0
