"""The historian of a server: it finds what ended by itself, and nothing that goes wrong ends it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from orchestrator.executions.model import ExecutionStatus
from server import historian
from server.historian import Historian
from server.stores import Stores
from storage import digests
from storage.postgres import DirectConnection
from tests.ended import ended, ran
from tests.patience import eventually


@pytest.fixture
async def at_work(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A historian at work."""
    monkeypatch.setattr(historian, "LOOK_SECONDS", 0.02)
    work = asyncio.create_task(Historian(stores.database_url).work())
    yield
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def outcomes(connection: DirectConnection, tenant: int, expected: str) -> None:
    """Wait until this is what is remembered of the tenant's test."""

    async def are_known() -> bool:
        known: str | None = await connection.fetchval("SELECT outcomes FROM known_tests WHERE tenant_id = $1", tenant)
        return known == expected

    await eventually(are_known)


@pytest.mark.usefixtures("at_work")
async def test_executions_are_digested_when_they_end(connection: DirectConnection, tenant: int) -> None:
    await ended(connection, tenant, [ran("one")])
    await outcomes(connection, tenant, "p")
    await ended(connection, tenant, [ran("one", "failed")])
    await outcomes(connection, tenant, "fp")


@pytest.fixture
async def hopeless(connection: DirectConnection, other_tenant: int) -> AsyncIterator[str]:
    """An execution that comes first and cannot be digested: there is no month for its runs."""
    execution_id = await ended(connection, other_tenant, [ran("one")], status=ExecutionStatus.FAILED)
    await connection.execute(
        "UPDATE executions SET started_at = NULL, ended_at = now() - interval '200 days' WHERE execution_id = $1",
        execution_id,
    )
    yield execution_id
    await connection.execute("DELETE FROM executions WHERE execution_id = $1", execution_id)


async def test_one_that_cannot_be_digested_holds_up_no_other(
    connection: DirectConnection, tenant: int, other_tenant: int, hopeless: str, at_work: None
) -> None:
    del at_work
    await ended(connection, tenant, [ran("one")])
    await outcomes(connection, tenant, "p")
    assert await connection.fetchval("SELECT count(*) FROM known_tests WHERE tenant_id = $1", other_tenant) == 0
    assert not await connection.fetchval("SELECT digested FROM executions WHERE execution_id = $1", hopeless)


async def test_it_tells_how_many_wait(
    connection: DirectConnection, tenant: int, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(historian, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(historian, "COUNT_SECONDS", 0.0)
    for _ in range(3):
        await ended(connection, tenant, [ran("one")])
    assert await digests.waiting(connection, 2) == 2
    at_work = Historian(stores.database_url)
    told: list[float] = []
    monkeypatch.setattr(at_work.waiting, "set", told.append)
    work = asyncio.create_task(at_work.work())

    async def none_waits() -> bool:
        return told[-1:] == [0]

    await eventually(none_waits)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert told[0] == 3


@pytest.mark.usefixtures("at_work")
async def test_it_goes_on_after_the_database_was_away(connection: DirectConnection, tenant: int) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await ended(connection, tenant, [ran("one")])
    await outcomes(connection, tenant, "p")
