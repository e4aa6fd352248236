"""The database and the bus of a server: where they are, and bringing the database up to date."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from orchestrator.config import Settings
from orchestrator.errors import Misconfigured
from storage import commits, migrations, postgres, retention
from storage.embedded import DataFolderLock, EmbeddedServers

MOST_PARTITIONS = 8


class Stores(msgspec.Struct, frozen=True):
    """Where the database and the bus are. `embedded`: the servers of our own, if it is those."""

    database_url: str
    redis_url: str
    embedded: EmbeddedServers | None = None


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The managed stores of the settings, or embedded ones on the data folder.

    Raises:
        Misconfigured: the settings do not fit together, or the data folder cannot be used.
    """
    managed = _managed(settings)
    if managed is not None:
        yield managed
        return
    async with EmbeddedServers(settings.data_dir) as embedded:
        yield Stores(embedded.database_url, embedded.redis_url, embedded)


def _managed(settings: Settings) -> Stores | None:
    """The stores that the settings name; None where they name none."""
    match settings.database_url, settings.redis_url:
        case None, None:
            return None
        case str(database_url), str(redis_url):
            return Stores(database_url, redis_url)
        case _:
            raise Misconfigured("Set both TMS_DATABASE_URL and TMS_REDIS_URL, or neither to use the embedded ones")


async def check(settings: Settings) -> None:
    """Find out at once what would otherwise only come to light after Ray has started, which takes some seconds.

    Raises:
        Misconfigured: the settings do not fit together, the data folder is in use, or the database refuses.
        Unavailable: the database cannot be reached.
    """
    managed = _managed(settings)
    if managed is None:
        async with DataFolderLock(settings.data_dir):
            return
    try:
        connection = await postgres.connect(managed.database_url)
    except postgres.DatabaseError as error:
        raise Misconfigured(f"The database of TMS_DATABASE_URL refuses: {error}") from error
    await connection.close()


async def prepare(settings: Settings, database_url: str) -> int:
    """Bring the database up to date, with months, partitions and a first tenant.

    Returns:
        How many partitions there are.

    Raises:
        SchemaTooNew: the database belongs to a newer version.
        Misconfigured: the setting of partitions is not what the database has.
    """
    await migrations.migrate(database_url)
    async with postgres.connected(database_url) as connection:
        await retention.maintain(connection, datetime.now(UTC), settings.retention_months)
        wanted = settings.partitions or min(os.cpu_count() or 1, MOST_PARTITIONS)
        partitions = await commits.partition_count(connection, wanted)
    if settings.partitions not in (None, partitions):
        raise Misconfigured(
            f"TMS_PARTITIONS is {settings.partitions}, but this database was made with {partitions}; "
            "the number is fixed at the first start"
        )
    return partitions
