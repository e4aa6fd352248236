"""Migrations, what they make, and whom it shows what."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from orchestrator.errors import SchemaTooNew
from server.stores import Stores
from storage import commits, migrations, postgres, schema
from storage.postgres import DirectConnection, Reader

OF_NO_TENANT = {schema.partitions, schema.couriers, schema.webhook_revision}
TENANT_TABLES = [table for table in schema.metadata.sorted_tables if table not in OF_NO_TENANT]


@pytest.fixture
async def empty_database(stores: Stores, connection: DirectConnection) -> AsyncIterator[str]:
    """The URL of a database of the test's own, without a schema."""
    name = "fresh"
    await connection.execute(f"CREATE DATABASE {name}")
    yield stores.database_url.replace("@/tms?", f"@/{name}?")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_several_servers_may_migrate_at_once(empty_database: str) -> None:
    await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(4)))
    connection = await postgres.connect(empty_database)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    await connection.close()


async def test_a_newer_schema_is_refused_and_left_alone(empty_database: str) -> None:
    await migrations.migrate(empty_database)
    connection = await postgres.connect(empty_database)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="9999"):
        await migrations.migrate(empty_database)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await connection.close()


async def test_there_are_as_many_couriers_as_partitions(empty_database: str) -> None:
    await migrations.migrate(empty_database)
    connection = await postgres.connect(empty_database)
    assert [await commits.partition_count(connection, wanted) for wanted in (3, 5)] == [3, 3]
    couriers = await connection.fetch("SELECT courier FROM couriers ORDER BY courier")
    assert [row["courier"] for row in couriers] == [0, 1, 2]
    await connection.close()


async def test_a_database_made_before_webhooks_gets_its_couriers(empty_database: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(empty_database), poolclass=NullPool
    )

    def upgrade(connection: Connection) -> None:
        config = migrations.configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
        await connection.execute(text("INSERT INTO partitions (partition) VALUES (0), (1)"))
    await migrations.migrate(empty_database)
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("SELECT courier FROM couriers ORDER BY 1"))) == [0, 1]
    await engine.dispose()


async def test_the_migrations_make_what_the_metadata_says(stores: Stores) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(stores.database_url), poolclass=NullPool
    )

    def differences(connection: Connection) -> list[object]:
        def ours(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:  # noqa: FBT001 - Alembic's signature
            del thing, reflected, other
            # Indexes and checks are for the migrations to say; months of tests are made while it runs.
            return kind == "column" or (
                kind == "table" and not str(name).startswith(("tests_", "test_runs_", "alembic"))
            )

        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return [found for found in compare_metadata(context, schema.metadata) if not _is_default_only(found)]

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def _is_default_only(found: object) -> bool:
    return isinstance(found, list) and all(change[0] == "modify_default" for change in found)


@pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda table: table.name)
async def test_every_tenant_table_has_a_tenant_and_a_policy(connection: DirectConnection, table: Table) -> None:
    assert "tenant_id" in table.c
    row = await connection.fetchrow(
        "SELECT relrowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies"
        " FROM pg_class c WHERE oid = $1::regclass",
        table.name,
    )
    assert row is not None
    assert (row["relrowsecurity"], row["policies"]) == (True, 1)


@pytest.mark.contract("X-025")
async def test_a_reader_sees_one_tenant_even_without_a_filter(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await connection.executemany(
        "INSERT INTO events (execution_id, seq, tenant_id, name, at, data)"
        " VALUES ($1, 1, $2, 'execution.created', now(), '{}')",
        [(f"exec_mine_{tenant}", tenant), (f"exec_theirs_{tenant}", tenant + 1_000_000)],
    )
    async with reader.tenant(tenant) as view:
        assert {row["tenant_id"] for row in await view.fetch("SELECT * FROM events")} == {tenant}
    async with reader.nobody() as view:
        assert await view.fetch("SELECT * FROM events") == []


async def test_a_reader_cannot_write_or_become_the_owner_of_rows(reader: Reader, tenant: int) -> None:
    for statement in (
        "INSERT INTO events (execution_id, seq, tenant_id, name, at, data) VALUES ('x', 1, 1, 'x', now(), '{}')",
        "UPDATE executions SET status = 'completed'",
        "DELETE FROM tests",
        "ALTER TABLE executions DISABLE ROW LEVEL SECURITY",
        "SELECT * FROM tests_2026_11",
        "UPDATE known_tests SET title = 'x'",
        "DELETE FROM quarantines",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with reader.tenant(tenant, write=True) as view:
                await view.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "status = 'running', deadline = NULL",
        "status = 'completed', ended_at = now()",
        "status = 'failed', ended_at = now(), deadline = NULL",
        "started_at = now(), status = 'running', ended_at = now() - interval '1 h'",
        "seq = 0",
        "total = -1",
    ],
)
async def test_the_database_itself_refuses_impossible_executions(
    connection: DirectConnection, tenant: int, change: str
) -> None:
    execution_id = f"exec_{tenant}"
    await connection.execute(
        "INSERT INTO executions (execution_id, tenant_id, partition, status, seq, frames, test_suite, environment,"
        " provider, configuration, base_url, created_at, deadline, total, passed, failed, skipped, flaky)"
        " VALUES ($1, $2, 0, 'created', 1, 0, 'smoke', 'dev', 'x', '{}', 'http://x', now(), now(), 0, 0, 0, 0, 0)",
        execution_id,
        tenant,
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"UPDATE executions SET {change} WHERE execution_id = $1", execution_id)  # noqa: S608 - the test's own words
