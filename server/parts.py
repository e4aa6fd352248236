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

import psutil
import structlog
from prometheus_client import Gauge

from actors.cluster import Cluster
from actors.couriers import Couriers
from actors.execution_owner import OwnerSettings
from actors.mailbox import Mailbox
from actors.shard_runner import RunnerSettings
from actors.shard_scheduler import SchedulerSettings
from actors.webhook_courier import CourierSettings
from gateway.services import Services
from orchestrator.config import Settings
from orchestrator.errors import Misconfigured, TMSError
from orchestrator.webhooks.addresses import Policy
from server.historian import Historian
from server.stores import Stores, check, open_stores, prepare
from storage import artifact_sweep, identity, postgres, retention
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import Reader

log = structlog.get_logger(__name__)

MAINTENANCE_SECONDS = 3600
ARTIFACTS_FOLDER = "artifacts"


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
async def services(settings: Settings, url: str) -> AsyncIterator[Services]:
    """Everything that the gateway works with, ready to serve.

    Args:
        settings: of this process.
        url: where it will answer, for what it runs itself.

    Raises:
        Misconfigured, Unavailable: it cannot start like this; nothing is left running.
    """
    key = secret_key(settings)
    blobs = Blobs.open(settings.artifacts_url, settings.data_dir / ARTIFACTS_FOLDER)
    async with AsyncExitStack() as stack:
        where, ray = await _side_by_side(stack, settings)
        partitions = await prepare(settings, where.database_url)
        await _bootstrap(settings, where.database_url)
        owners = OwnerSettings(settings.progress_seconds, settings.shard_lease_seconds)
        stores = (where.database_url, where.redis_url)
        shards = _managed_shards(settings, key, where.database_url, url)
        await ray.employ(partitions, stores, owners, _deliveries(settings, key), shards)
        reader = await Reader.open(where.database_url)
        stack.push_async_callback(reader.close)
        bus = Bus(where.redis_url)
        stack.push_async_callback(bus.close)
        counters = Counters(where.redis_url)
        stack.push_async_callback(counters.close)
        mailbox = Mailbox(ray.owners, settings.request_wait_seconds)
        stack.push_async_callback(mailbox.close)
        maintained = Gauge("tms_maintained_timestamp_seconds", "When maintenance last succeeded", registry=None)
        maintenance = maintain_for_ever(settings, where.database_url, blobs, maintained)
        historian = Historian(where.database_url)
        for upkeep in (maintenance, historian.work()):
            stack.callback(asyncio.create_task(upkeep).cancel)
        yield Services(
            settings=settings,
            reader=reader,
            mailbox=mailbox,
            couriers=Couriers(ray.couriers, settings.request_wait_seconds),
            bus=bus,
            blobs=blobs,
            counters=counters,
            secret_key=key,
            actors={"owner": ray.owners, "courier": ray.couriers, "scheduler": ray.schedulers},
            collectors=[
                *(mailbox.measures, reader, maintained, historian.waiting),
                *([where.embedded] if where.embedded else []),
            ],
        )


def _deliveries(settings: Settings, key: bytes) -> CourierSettings:
    return CourierSettings(
        secret_key=key,
        policy=Policy(settings.webhook_allow, settings.webhook_ports),
        rate=settings.webhook_rate,
        timeout_seconds=settings.webhook_timeout,
        disable_after_seconds=settings.webhook_disable_after,
    )


def _managed_shards(settings: Settings, key: bytes, database_url: str, url: str) -> SchedulerSettings:
    return SchedulerSettings(
        url=settings.public_url.rstrip("/") if settings.public_url else url,
        secret_key=key,
        tenant_shards=settings.job_shards,
        runner=RunnerSettings(
            database_url=database_url,
            lease_seconds=settings.shard_lease_seconds,
            grace_seconds=settings.job_grace_seconds,
            folders=settings.job_folders,
        ),
    )


async def _side_by_side(stack: AsyncExitStack, settings: Settings) -> tuple[Stores, Cluster]:
    """Start stores and Ray at the same time."""
    await check(settings)
    joining = asyncio.create_task(stack.enter_async_context(cluster(settings)))
    try:
        where = await stack.enter_async_context(open_stores(settings))
    finally:
        await asyncio.wait([joining])
    return where, await joining


async def _bootstrap(settings: Settings, database_url: str) -> None:
    """See to a first tenant and an administrator's token; one made here is shown now, and never again."""
    async with postgres.connected(database_url) as connection:
        fresh = await identity.bootstrap(connection, settings.bootstrap_token)
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


async def maintain_for_ever(settings: Settings, database_url: str, blobs: Blobs, maintained: Gauge) -> None:
    """Months ahead and retention: at once, for a server may never be up for an hour, and then every hour.

    Args:
        settings: how long to keep what.
        database_url: of the owning role.
        blobs: holds the bytes of artifacts.
        maintained: set to the time whenever all of it succeeded.
    """
    while True:
        try:
            async with postgres.connected(database_url) as connection:
                await retention.maintain(connection, datetime.now(UTC), settings.retention_months)
                await retention.forget_deliveries(connection, datetime.now(UTC))
                await retention.forget_history(connection, datetime.now(UTC))
                await artifact_sweep.sweep(connection, blobs, datetime.now(UTC), settings.artifact_days)
                await retention.forget_output(connection, datetime.now(UTC), settings.retention_months)
            maintained.set_to_current_time()
        except (TMSError, OSError, postgres.DatabaseError) as error:
            log.warning("maintenance failed; it is tried again in an hour", error=str(error))
        await asyncio.sleep(MAINTENANCE_SECONDS)


def _ray_folder() -> Path:
    """A folder for this process' Ray, with a path short enough for sockets; those of killed processes are removed."""
    for left in _TEMPORARY.glob(f"{_RAY_FOLDER}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(_RAY_FOLDER))):
            shutil.rmtree(left, ignore_errors=True)
    return _TEMPORARY / f"{_RAY_FOLDER}{os.getpid()}"


_RAY_FOLDER = "tms-ray-"
_TEMPORARY = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108 - see _ray_folder
