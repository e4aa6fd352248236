"""Several gateways on one database and one bus, each in memory of nothing but its own readers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer
from obstore.store import MemoryStore

from actors.couriers import Couriers
from actors.execution_owner import ExecutionOwner, OwnerSettings
from actors.mailbox import Mailbox
from gateway.app import build_app
from gateway.live import connection as live_connection
from gateway.live.connection import NO_RIGHT
from gateway.services import Services
from orchestrator.config import Settings
from orchestrator.executions.commands import AnyCommand
from orchestrator.identity.roles import Role
from server.stores import Stores
from storage import identity
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import DirectConnection, Reader
from tests import orders
from tests.live.client import Client, RawReader, closed_with, take

Carry = Callable[..., Awaitable[None]]


@pytest.fixture
async def carry_out(stores: Stores, partition: int) -> AsyncIterator[Carry]:
    """Has commands carried out by an owner, which tells the bus of them."""
    owner = ExecutionOwner(partition, stores.database_url, stores.redis_url, OwnerSettings())

    async def carry(*commands: AnyCommand) -> None:
        await owner.handle(msgspec.msgpack.encode(commands))

    yield carry
    await owner.close()


class Gateway:
    """One gateway, and the services that it has for itself."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def __aenter__(self) -> str:
        self._reader = await Reader.open(self._stores.database_url)
        self._bus = Bus(self._stores.redis_url)
        services = Services(
            settings=Settings(),
            reader=self._reader,
            mailbox=Mailbox([], 1.0),
            couriers=Couriers([], 1.0),
            bus=self._bus,
            blobs=Blobs(MemoryStore(), None),
            counters=Counters(self._stores.redis_url),
            secret_key=b"k" * 32,
            actors={},
        )
        self._server = TestServer(build_app(services))
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/")

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()
        await self._bus.close()
        await self._reader.close()


@pytest.fixture
async def token(connection: DirectConnection, tenant: int) -> str:
    made = await identity.create_token(connection, tenant, name="live", role=Role.VIEWER, now=datetime.now(UTC))
    return made[0]


async def test_readers_of_different_gateways_get_the_same_frames(
    stores: Stores, session: aiohttp.ClientSession, carry_out: Carry, tenant: int, token: str
) -> None:
    made = orders.create(tenant=tenant, shards=2)
    await carry_out(made)
    async with Gateway(stores) as first, Gateway(stores) as second:
        one, other = Client(session, first, token), Client(session, second, token)
        async with (
            one.watch(made.execution_id, "?tests=1") as left,
            other.watch(made.execution_id, "?tests=1") as right,
        ):
            for live in (left, right):
                await take(live, 1)
            await carry_out(orders.submit(made, "1", orders.outcomes(3)), orders.submit(made, "2"))
            frames = [sorted([await live.recv() for _ in range(5)]) for live in (left, right)]
        assert frames[0] == frames[1]
        async with other.watch(made.execution_id, "?after=3") as resumed:
            assert [frame["seq"] for frame in await take(resumed, 2)] == [4, 5]


async def test_a_token_that_is_revoked_ends_the_stream(
    stores: Stores,
    session: aiohttp.ClientSession,
    connection: DirectConnection,
    tenant: int,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_connection, "RIGHT_SECONDS", 0.05)
    async with Gateway(stores) as url:
        client = Client(session, url, token)
        async with client.websocket("/api/live") as live, client.stream("/api/live") as stream:
            assert stream.answer.status == 200
            await connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE tenant_id = $1", tenant)
            assert (await closed_with(live))[0] == NO_RIGHT
            assert await stream.next() is None


async def test_who_does_not_answer_a_ping_is_cut_off(
    stores: Stores, session: aiohttp.ClientSession, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_connection, "PING_SECONDS", 0.1)
    async with Gateway(stores) as url:
        client = Client(session, url, token)
        async with client.websocket("/api/live") as answering:
            silent = await RawReader.connected(client, "/api/live")
            while await silent.read():
                pass
            await answering.ping()
            silent.close()


async def test_a_quiet_stream_is_kept_alive_by_comments(
    stores: Stores, session: aiohttp.ClientSession, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.live.sinks.EventStreamSink.ping_seconds", 0.05)
    async with Gateway(stores) as url, Client(session, url, token).stream("/api/live") as stream:
        lines = [await stream.answer.content.readline() for _ in range(4)]
    assert lines == [b"retry: 1000\n", b"\n", b": ping\n", b"\n"]


async def test_metadata_of_several_lines_stays_one_event(
    stores: Stores, session: aiohttp.ClientSession, carry_out: Carry, tenant: int, token: str
) -> None:
    made = msgspec.structs.replace(orders.create(tenant=tenant), metadata='{\r\n"branch":\n\n"main"\r}')
    await carry_out(made)
    async with (
        Gateway(stores) as url,
        Client(session, url, token).stream(f"/api/executions/{made.execution_id}/live") as stream,
    ):
        event = await stream.next()
    assert event is not None
    assert event[1]["execution"]["metadata"] == {"branch": "main"}
