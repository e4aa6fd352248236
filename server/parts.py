"""The parts of a server: started in the right order, side by side where they can be, and stopped in reverse."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import structlog

from actors.cluster import Cluster
from actors.mailbox import Mailbox
from gateway.services import Services
from orchestrator.config import Settings
from orchestrator.errors import Misconfigured, TMSError
from storage import commits, identity, migrations, postgres, retention
from storage.bus import Bus
from storage.embedded import DataFolderLock, EmbeddedServers
from storage.postgres import Reader

log = structlog.get_logger(__name__)

MOST_PARTITIONS = 8
MAINTENANCE_SECONDS = 3600


class Stores(msgspec.Struct, frozen=True):
    """Where the database and the bus are."""

    database_url: str
    redis_url: str


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """The managed stores of the settings, or embedded ones on the data folder.

    Raises:
        Misconfigured: the settings do not fit together, or the data folder cannot be used.
    """
    managed = _managed(settings)
    if managed is not None:
        yield managed
        return
    async with EmbeddedServers(settings.data_dir) as embedded:
        yield Stores(embedded.database_url, embedded.redis_url)


def _managed(settings: Settings) -> Stores | None:
    """The stores that the settings name; None where they name none."""
    match settings.database_url, settings.redis_url:
        case None, None:
            return None
        case str(database_url), str(redis_url):
            return Stores(database_url, redis_url)
        case _:
            raise Misconfigured("Set both TMS_DATABASE_URL and TMS_REDIS_URL, or neither to use the embedded ones")


@asynccontextmanager
async def cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """A connection to Ray; a Ray of our own has a folder of its own, gone afterwards."""
    folder = _ray_folder()
    joined = await Cluster.join(settings.ray_address, folder)
    try:
        yield joined
    finally:
        await joined.leave()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Everything that the gateway works with, ready to serve.

    Raises:
        Misconfigured, Unavailable: it cannot start like this; nothing is left running.
    """
    key = secret_key(settings)
    async with AsyncExitStack() as stack:
        where, ray = await _side_by_side(stack, settings)
        partitions = await prepare(settings, where.database_url)
        await _bootstrap(settings, where.database_url)
        await ray.own(partitions, where.database_url, where.redis_url)
        reader = await Reader.open(where.database_url)
        stack.push_async_callback(reader.close)
        bus = Bus(where.redis_url)
        stack.push_async_callback(bus.close)
        mailbox = Mailbox(ray.owners, settings.request_wait_seconds)
        stack.push_async_callback(mailbox.close)
        upkeep = asyncio.create_task(_maintain_for_ever(settings, where.database_url))
        stack.callback(upkeep.cancel)
        yield Services(
            settings=settings,
            reader=reader,
            mailbox=mailbox,
            bus=bus,
            secret_key=key,
            owners=[owner.status for owner in ray.owners],
        )


async def _side_by_side(stack: AsyncExitStack, settings: Settings) -> tuple[Stores, Cluster]:
    """Start stores and Ray at the same time."""
    await _check(settings)
    joining = asyncio.create_task(stack.enter_async_context(cluster(settings)))
    try:
        where = await stack.enter_async_context(stores(settings))
    finally:
        await asyncio.wait([joining])
    return where, await joining


async def _check(settings: Settings) -> None:
    """Find out at once what would only come to light after Ray has started, which takes some seconds."""
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
    connection = await postgres.connect(database_url)
    try:
        async with postgres.translated():
            await retention.maintain(connection, datetime.now(UTC), settings.retention_months)
            wanted = settings.partitions or min(os.cpu_count() or 1, MOST_PARTITIONS)
            partitions = await commits.partition_count(connection, wanted)
    finally:
        await connection.close()
    if settings.partitions not in (None, partitions):
        raise Misconfigured(
            f"TMS_PARTITIONS is {settings.partitions}, but this database was made with {partitions}; "
            "the number is fixed at the first start"
        )
    return partitions


async def _bootstrap(settings: Settings, database_url: str) -> None:
    """See to a first tenant and an administrator's token; one made here is shown now, and never again."""
    connection = await postgres.connect(database_url)
    try:
        async with postgres.translated():
            fresh = await identity.bootstrap(connection, settings.bootstrap_token)
    finally:
        await connection.close()
    if fresh is not None:
        print(f"Admin token, shown this once: {fresh}", flush=True)  # noqa: T201 - for the operator, never in a log


def secret_key(settings: Settings) -> bytes:
    """The key of derived secrets: from the settings, or made once and kept in the data folder (mode 0600).

    Raises:
        Misconfigured: several servers may share a managed database, so that they need one key in their settings.
    """
    if settings.secret_key is not None:
        return settings.secret_key.encode()
    if settings.database_url is not None:
        raise Misconfigured("Set TMS_SECRET_KEY (32 characters or more), the same for all servers of this database")
    path = settings.data_dir / "secret-key"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return _kept_key(path)
    except OSError as error:
        raise Misconfigured(f"The data folder {settings.data_dir} cannot be used: {error}") from error


def _kept_key(path: Path) -> bytes:
    if not path.exists():
        # Linked into place whole, so that of two first starts one wins and both read the same key.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as fresh:
            fresh.write(secrets.token_hex(32).encode())
            fresh.flush()
            try:
                os.link(fresh.name, path)
            except FileExistsError:
                log.info("secret key was made by another start", path=str(path))
    return path.read_bytes()


async def _maintain_for_ever(settings: Settings, database_url: str) -> None:
    """Months ahead and retention, every hour."""
    while True:
        await asyncio.sleep(MAINTENANCE_SECONDS)
        try:
            connection = await postgres.connect(database_url)
            try:
                await retention.maintain(connection, datetime.now(UTC), settings.retention_months)
            finally:
                await connection.close()
        except (TMSError, OSError, postgres.DatabaseError) as error:
            log.warning("maintenance failed; it is tried again in an hour", error=str(error))


def _ray_folder() -> Path:
    """A folder for this process' Ray, with a path short enough for sockets; those of killed processes are removed."""
    for left in _TEMPORARY.glob(f"{_RAY_FOLDER}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(_RAY_FOLDER))):
            shutil.rmtree(left, ignore_errors=True)
    return _TEMPORARY / f"{_RAY_FOLDER}{os.getpid()}"


_RAY_FOLDER = "tms-ray-"
_TEMPORARY = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108 - see _ray_folder
