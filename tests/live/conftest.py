"""What the tests of live readers share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from gateway.live import stream, subscriber
from orchestrator.identity.roles import Role
from storage import identity, postgres
from tests.live.client import Client
from tests.running import RunningServer

IN_MEMORY = ("test_any_order.py", "test_readers.py")


@pytest.fixture(autouse=True, scope="module")
def _small_and_impatient(request: pytest.FixtureRequest) -> Iterator[None]:
    """In memory: queues that are soon full, and a database that is asked again at once."""
    with pytest.MonkeyPatch.context() as patch:
        if Path(request.module.__file__).name in IN_MEMORY:
            patch.setattr(subscriber, "MOST_FRAMES", 4)
            patch.setattr(subscriber, "RETRY_SECONDS", 0)
            patch.setattr(stream, "RETRY_SECONDS", 0)
        yield


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(session: aiohttp.ClientSession, server: RunningServer) -> Client:
    """An administrator of the first tenant."""
    return Client(session, server.url, server.token)


TokenMaker = Callable[..., Awaitable[str]]


@pytest.fixture
def token_for(server: RunningServer) -> TokenMaker:
    """Makes a token of a role in a tenant, which is made where there is none of the name."""

    async def make(role: Role = Role.ADMIN, tenant: str = identity.DEFAULT_TENANT) -> str:
        connection = await postgres.connect(server.database_url)
        try:
            tenant_id = await identity.ensure_tenant(connection, tenant)
            made = await identity.create_token(connection, tenant_id, name="live", role=role, now=datetime.now(UTC))
        finally:
            await connection.close()
        return made[0]

    return make
