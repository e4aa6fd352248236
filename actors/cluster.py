"""Ray: starts it or joins it, and makes, finds and supervises the actors. Every Ray option stands here."""

import asyncio
import importlib.metadata
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import ray
import structlog
from prometheus_client import Metric

# Ray's own libraries take these from there; it has no other name for what a single node has.
from ray._private.state import available_resources_per_node, total_resources_per_node
from ray.exceptions import RayError

from actors.execution_owner import ExecutionOwner, OwnerSettings
from actors.shard_assignment import Assignment
from actors.shard_runner import RunnerSettings, ShardRunner
from actors.shard_scheduler import SchedulerSettings, ShardScheduler
from actors.webhook_courier import CourierSettings, WebhookCourier
from orchestrator.errors import Unavailable
from orchestrator.jobs.model import Resources
from orchestrator.jobs.queue import Node
from orchestrator.webhooks.model import Outcome

log = structlog.get_logger(__name__)

NAMESPACE = "tms"
OBJECT_STORE_BYTES = 128 * 1024 * 1024
RETRY_SECONDS = 0.2

DIRECT_BYTES = 1024 * 1024
"""Larger arguments take the way around through Ray's object store: by default those above 100 kB, as a busy gateway's
batches are. With 170 kB that costs 7 ms of CPU a call (gateway, raylet and owner) instead of 3.5; from 2 MB on, less.
"""

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

# An actor may use any share of a core, comes back however often it dies, and holds many callers' calls at once.
# Its calls are not retried by Ray: mailbox and couriers do that, with what makes a repetition harmless.
_ACTOR: dict[str, Any] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "max_concurrency": 1000,
    "get_if_exists": True,
}

# A runner takes what its job asks for, and belongs to the scheduler: Ray ends it with its maker, and never restarts it,
# for the scheduler decides whether a shard is run again.
_RUNNER: dict[str, Any] = {
    "max_restarts": 0,
    "max_task_retries": 0,
    "max_concurrency": 10,
    "lifetime": "non_detached",
}


class ActorHandle:
    """One named actor, as its callers reach it; keeps it alive and found.

    Args:
        kind: its class, which has the methods `live`, `status` and `metrics`.
        name: what it is, such as `execution-owner`.
        number: which of them it is, from 0.
        arguments: of its class, after the number.
        is_detached: it outlives this process.
    """

    def __init__(
        self, kind: type[Any], name: str, number: int, arguments: tuple[object, ...], *, is_detached: bool
    ) -> None:
        self._kind = kind
        self._name = f"{name}-{_version()}-{number}"
        self._arguments = (number, *arguments)
        self._lifetime = "detached" if is_detached else "non_detached"
        self._actor = self._find()

    async def status(self) -> dict[str, float]:
        """What it is doing, which is proof of life.

        Raises:
            Unavailable: it is away.
        """
        with self._answering():
            numbers: dict[str, float] = await self._actor.status.remote()
        return numbers

    async def metrics(self) -> list[Metric]:
        """What it measured, for Prometheus.

        Raises:
            Unavailable: it is away.
        """
        with self._answering():
            families: list[Metric] = await self._actor.metrics.remote()
        return families

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except RayError as error:
            raise Unavailable(f"{self._name} is restarting; try again") from error

    async def supervise(self) -> None:
        """Have the actor take up its work, now and after every death; runs until cancelled."""
        while True:
            try:
                await self._actor.live.remote()
            except ray.exceptions.RayTaskError:
                log.exception("actor failed; it is restarted", actor=self._name)
                ray.kill(self._actor, no_restart=False)
            except RayError as error:
                log.warning("actor died; Ray restarts it", actor=self._name, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            await self._revive()

    async def _revive(self) -> None:
        """Find the actor again: a dead one is replaced by a new one of the same name."""
        try:
            self._actor = await asyncio.to_thread(self._find)
        except (RayError, ValueError) as error:
            log.warning("actor cannot be found yet", actor=self._name, error=str(error))

    def _find(self) -> Any:  # noqa: ANN401 - Ray's handles have no type of their own
        actor = ray.remote(self._kind).options(name=self._name, lifetime=self._lifetime, **_ACTOR)
        return actor.remote(*self._arguments)


class OwnerHandle(ActorHandle):
    """The owner of one partition, as the mailbox reaches it."""

    async def handle(self, batch: bytes) -> bytes:
        """Carry out a batch of commands, as `ExecutionOwner.handle`.

        Raises:
            RayError: the owner is away or died; the batch may or may not be carried out.
        """
        answer: bytes = await self._actor.handle.remote(batch)
        return answer


class CourierHandle(ActorHandle):
    """One courier; every method raises `RayError` where it is away."""

    async def validate(self, webhook_id: str) -> Outcome | None:
        """As `WebhookCourier.validate`."""
        outcome: Outcome | None = await self._actor.validate.remote(webhook_id)
        return outcome

    async def changed(self, webhook_id: str) -> None:
        """As `WebhookCourier.changed`."""
        await self._actor.changed.remote(webhook_id)

    async def due(self, webhook_ids: Sequence[str]) -> None:
        """As `WebhookCourier.due`."""
        await self._actor.due.remote(webhook_ids)


class RunnerHandle:
    """The runner of one attempt of a shard."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - Ray's handles have no type of their own
        self._actor = actor

    async def run(self, assignment: Assignment) -> None:
        """As `ShardRunner.run`.

        Raises:
            RayError: it died, or failed.
        """
        await self._actor.run.remote(assignment)

    def kill(self) -> None:
        """End its process."""
        ray.kill(self._actor)


class RayNodes:
    """The nodes of the cluster that this process has joined, for the scheduler, which is an actor itself."""

    async def look(self) -> list[Node]:
        """Each node, with its resources."""
        totals = await asyncio.to_thread(total_resources_per_node)
        free = await asyncio.to_thread(available_resources_per_node)
        return [Node(free.get(node, {}), total) for node, total in totals.items()]

    def start(self, name: str, resources: Resources, settings: RunnerSettings) -> RunnerHandle:
        """Have a runner made where these resources are.

        Raises:
            ValueError: Ray does not know such a resource.
        """
        actor = ray.remote(ShardRunner).options(
            name=name,
            num_cpus=resources.cpus,
            memory=resources.memory,
            resources=resources.custom or None,
            **_RUNNER,
        )
        return RunnerHandle(actor.remote(settings))


Handle = TypeVar("Handle", bound=ActorHandle)


class Cluster:
    """A connection to Ray, and the actors on it.

    Attributes:
        owners: an owner of executions for each partition, in order.
        couriers: as many couriers, in order.
        schedulers: the one that starts managed shards.
    """

    def __init__(self, *, is_local: bool) -> None:
        self._is_local = is_local
        self._supervision: list[asyncio.Task[None]] = []
        self.owners: Sequence[OwnerHandle] = ()
        self.couriers: Sequence[CourierHandle] = ()
        self.schedulers: Sequence[ActorHandle] = ()

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
        # Ray runs workers at a low priority (nice 15) to keep room for itself; the actors are the server.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_max_direct_call_object_size", str(DIRECT_BYTES))
        logging.getLogger("ray").setLevel(logging.ERROR)
        options = _LOCAL | {"_temp_dir": str(folder)} if address is None else {"address": address}
        try:
            await asyncio.to_thread(ray.init, **_ALWAYS, **options)
        except ConnectionError as error:
            raise Unavailable(f"The Ray cluster at {address} cannot be reached; check TMS_RAY_ADDRESS") from error
        return cls(is_local=address is None)

    async def employ(
        self,
        partitions: int,
        where: tuple[str, str],
        owners: OwnerSettings,
        deliveries: CourierSettings,
        shards: SchedulerSettings,
    ) -> None:
        """Make or find all actors, keep them alive from now on; return when all answer.

        Args:
            partitions: as many owners and couriers there are.
            where: the URLs of the database and of the bus.
            owners: what owners are told.
            deliveries: what couriers are told.
            shards: what the scheduler is told.
        """
        database_url, redis_url = where
        of_owner = (database_url, redis_url, owners)
        of_courier = (database_url, redis_url, deliveries)
        of_scheduler = (database_url, shards, RayNodes())
        self.owners, self.couriers, self.schedulers = await asyncio.gather(
            asyncio.to_thread(self._all, OwnerHandle, ExecutionOwner, "execution-owner", partitions, of_owner),
            asyncio.to_thread(self._all, CourierHandle, WebhookCourier, "webhook-courier", partitions, of_courier),
            asyncio.to_thread(self._all, ActorHandle, ShardScheduler, "shard-scheduler", 1, of_scheduler),
        )
        actors = (*self.owners, *self.couriers, *self.schedulers)
        self._supervision = [asyncio.create_task(actor.supervise()) for actor in actors]
        await asyncio.gather(*(actor.status() for actor in actors))

    def _all(
        self, handle: type[Handle], kind: type[Any], name: str, count: int, arguments: tuple[object, ...]
    ) -> list[Handle]:
        is_detached = not self._is_local
        return [handle(kind, name, number, arguments, is_detached=is_detached) for number in range(count)]

    async def leave(self) -> None:
        """Disconnect. A local Ray ends with all its actors; on a shared cluster they stay for the other servers."""
        for task in self._supervision:
            task.cancel()
        await asyncio.gather(*self._supervision, return_exceptions=True)
        await asyncio.to_thread(ray.shutdown)


def _version() -> str:
    """Actors of another version are others; the database lets only the newest claim write."""
    return importlib.metadata.version("tms-orchestrator")
