"""Tables just like the server's own, in schemas beside them, for what it is compared with."""

from datetime import UTC, datetime

from storage.postgres import Connection

_TESTS = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.tests (LIKE tests INCLUDING ALL) PARTITION BY RANGE (reported_at);
CREATE TABLE {schema}.tests_now PARTITION OF {schema}.tests FOR VALUES FROM ('{first}') TO ('{last}');
"""


async def make(connection: Connection, schema: str) -> None:
    """Make a schema with a table of tests, and the one partition that is needed now.

    Raises:
        asyncpg.DuplicateSchemaError: it is there already.
    """
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = first.replace(year=first.year + 1)  # a run may go over the end of the month
    await connection.execute(_TESTS.format(schema=schema, first=first.isoformat(), last=last.isoformat()))
