"""Connections to Postgres: who may see what, time limits, and driver errors turned into ours.

Two database roles. The role of the URL owns the tables and writes (actors, migrations). `tms_reader` owns nothing and
is bound by row-level security: a `Reader` connection takes that role at its start, and shows only the rows of the
tenant named inside the running transaction.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from orchestrator.errors import Unavailable

if TYPE_CHECKING:
    DirectConnection = asyncpg.Connection[asyncpg.Record]
    Connection = DirectConnection | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:  # generic in its stubs only
    DirectConnection = asyncpg.Connection
    Connection = DirectConnection | PoolConnectionProxy
    Pool = asyncpg.Pool

DatabaseError = asyncpg.PostgresError
RefusedError = asyncpg.DataError, asyncpg.IntegrityConstraintViolationError
"""The database does not take these values, and would not take them later (SQLSTATE classes 22 and 23)."""

READER_ROLE = "tms_reader"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
_WAITS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, CONNECT_SECONDS)

# What a server that goes away, is not there yet or is full looks like to the driver.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # closed to connections, for maintenance
    asyncpg.InternalClientError,
)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `Unavailable` where the database is away, full or too slow; leave all other errors as they are."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable(f"The database is not available ({type(error).__name__}); try again") from error


async def connect(url: str) -> DirectConnection:
    """A connection of the owning role, for one actor or command.

    Raises:
        Unavailable: the database cannot be reached.
    """
    async with translated():
        return await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=_settings())


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[DirectConnection]:
    """A connection of the owning role for some statements, closed afterwards.

    Raises:
        Unavailable: the database cannot be reached, or goes away meanwhile.
    """
    connection = await connect(url)
    try:
        async with translated():
            yield connection
    finally:
        await connection.close()


class Reader:
    """A pool of connections that see one tenant at a time; a collector of metrics too."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waits = Histogram(
            "tms_database_wait_seconds", "Wait for a connection of the pool", buckets=_WAITS, registry=None
        )

    @classmethod
    async def open(cls, url: str, *, size: int = 8) -> Self:
        """Connect.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                timeout=CONNECT_SECONDS,
                server_settings=_settings() | {"role": READER_ROLE},
            )
        return cls(pool)

    @asynccontextmanager
    async def tenant(self, tenant_id: int, *, write: bool = False) -> AsyncIterator[Connection]:
        """A transaction that sees the rows of this tenant only; what it may write is for the role's grants to say.

        Raises:
            Unavailable: the database is away.
        """
        async with (
            translated(),
            self._connection() as connection,
            connection.transaction(readonly=not write),
        ):
            await connection.execute("SELECT set_config('tms.tenant_id', $1, true)", str(tenant_id))
            yield connection

    @asynccontextmanager
    async def nobody(self) -> AsyncIterator[Connection]:
        """A connection that sees no tenant's rows: for functions that find out who is asking, and for health checks."""
        async with translated(), self._connection() as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        began = monotonic()
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        finally:
            self._waits.observe(monotonic() - began)  # those that waited in vain above all
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    def collect(self) -> Iterator[Metric]:
        """How the pool is used, for Prometheus."""
        open_ones = GaugeMetricFamily("tms_database_connections", "Connections of the pool", labels=("state",))
        idle = self._pool.get_idle_size()
        open_ones.add_metric(("idle",), idle)
        open_ones.add_metric(("used",), self._pool.get_size() - idle)
        yield open_ones
        most = self._pool.get_max_size()
        yield GaugeMetricFamily("tms_database_connections_limit", "Connections that the pool may have", value=most)
        yield from self._waits.collect()

    async def close(self) -> None:
        """Close all connections, at once where one is stuck."""
        self._pool.terminate()


def _settings() -> dict[str, str]:
    return {
        "application_name": "tms",
        "timezone": "UTC",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
    }
