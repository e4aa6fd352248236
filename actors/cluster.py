"""Ray: starts it or joins it, and makes, finds and supervises the actors. Every Ray option stands here."""

import asyncio
import importlib.metadata
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import ray
import structlog
from ray.exceptions import RayError

from actors.execution_owner import ExecutionOwner
from orchestrator.errors import Unavailable

log = structlog.get_logger(__name__)

NAMESPACE = "tms"
OBJECT_STORE_BYTES = 128 * 1024 * 1024
RETRY_SECONDS = 0.2

# A Ray of our own, for one machine: reachable from this machine only, small, silent.
_LOCAL: dict[str, Any] = {
    "_node_ip_address": "127.0.0.1",
    "object_store_memory": OBJECT_STORE_BYTES,
    "include_dashboard": False,
}
_ALWAYS: dict[str, Any] = {
    "namespace": NAMESPACE,
    "log_to_driver": False,
    "logging_level": logging.ERROR,
    "configure_logging": False,
}

# An owner may use any share of a core, comes back however often it dies, and holds many callers' batches at once.
# Its calls are not retried by Ray: the mailbox does that, with marks that make a repetition harmless.
_OWNER: dict[str, Any] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "max_concurrency": 1000,
    "get_if_exists": True,
}


class OwnerHandle:
    """The owner of one partition, as the mailbox reaches it; keeps it alive and found."""

    def __init__(self, partition: int, arguments: tuple[object, ...], *, is_detached: bool) -> None:
        self._partition = partition
        self._arguments = arguments
        self._lifetime = "detached" if is_detached else "non_detached"
        self._actor = self._find()

    async def handle(self, batch: bytes) -> bytes:
        """Carry out a batch of commands, as `ExecutionOwner.handle`.

        Raises:
            RayError: the owner is away or died; the batch may or may not be carried out.
        """
        answer: bytes = await self._actor.handle.remote(batch)
        return answer

    async def status(self) -> dict[str, float]:
        """As `ExecutionOwner.status`.

        Raises:
            RayError: the owner is away.
        """
        numbers: dict[str, float] = await self._actor.status.remote()
        return numbers

    async def supervise(self) -> None:
        """Have the owner take up its work, now and after every death; runs until cancelled."""
        while True:
            try:
                await self._actor.live.remote()
            except ray.exceptions.RayTaskError:
                log.exception("owner failed; it is restarted", partition=self._partition)
                ray.kill(self._actor, no_restart=False)
            except RayError as error:
                log.warning("owner died; Ray restarts it", partition=self._partition, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            await self._revive()

    async def _revive(self) -> None:
        """Find the actor again: a dead one is replaced by a new one of the same name."""
        try:
            self._actor = await asyncio.to_thread(self._find)
        except (RayError, ValueError) as error:
            log.warning("owner cannot be found yet", partition=self._partition, error=str(error))

    def _find(self) -> Any:  # noqa: ANN401 - Ray's handles have no type of their own
        name = f"execution-owner-{_version()}-{self._partition}"
        actor = ray.remote(ExecutionOwner).options(name=name, lifetime=self._lifetime, **_OWNER)
        return actor.remote(*self._arguments)


class Cluster:
    """A connection to Ray, and the owners on it."""

    def __init__(self, *, is_local: bool) -> None:
        self._is_local = is_local
        self._supervision: list[asyncio.Task[None]] = []
        self.owners: Sequence[OwnerHandle] = ()

    @classmethod
    async def join(cls, address: str | None, folder: Path) -> Self:
        """Join the cluster at an address, or start one on this machine.

        Args:
            address: of a running Ray cluster; None starts a local one.
            folder: where a local Ray keeps its logs and sockets; its path must be short.

        Raises:
            Unavailable: there is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray runs workers at a low priority (nice 15) to keep room for itself; the owners are the server.
        os.environ.setdefault("RAY_worker_niceness", "0")
        logging.getLogger("ray").setLevel(logging.ERROR)
        options = _LOCAL | {"_temp_dir": str(folder)} if address is None else {"address": address}
        try:
            await asyncio.to_thread(ray.init, **_ALWAYS, **options)
        except ConnectionError as error:
            raise Unavailable(f"The Ray cluster at {address} cannot be reached; check TMS_RAY_ADDRESS") from error
        return cls(is_local=address is None)

    async def own(self, partitions: int, database_url: str, redis_url: str) -> None:
        """Make or find the owner of each partition, keep them alive from now on, and return when all answer."""
        self.owners = await asyncio.to_thread(self._handles, partitions, database_url, redis_url)
        self._supervision = [asyncio.create_task(owner.supervise()) for owner in self.owners]
        await asyncio.gather(*(owner.status() for owner in self.owners))

    def _handles(self, partitions: int, database_url: str, redis_url: str) -> list[OwnerHandle]:
        return [
            OwnerHandle(partition, (partition, database_url, redis_url), is_detached=not self._is_local)
            for partition in range(partitions)
        ]

    async def leave(self) -> None:
        """Disconnect. A local Ray ends with all its actors; on a shared cluster they stay for the other servers."""
        for task in self._supervision:
            task.cancel()
        await asyncio.gather(*self._supervision, return_exceptions=True)
        await asyncio.to_thread(ray.shutdown)


def _version() -> str:
    """Owners of another version are other actors; the database lets only the newest claim write."""
    return importlib.metadata.version("tms-orchestrator")
