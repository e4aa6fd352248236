"""Starts the shards that the server runs itself, each on a node that has room, and again where a node died.

All it knows is in the database, so that a scheduler that is restarted goes on as the one before, and two of them harm
nothing: who starts shards holds a lock, and every start has a number that fences off those before it. Runners belong
to the scheduler that made them: Ray ends them with it, and what they ran is run again.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Protocol

import msgspec
import structlog
from prometheus_client import Metric
from ray.exceptions import RayError

from actors.measures import SchedulerMeasures
from actors.shard_assignment import Assignment
from actors.shard_reporter import Access, Refused, ShardReporter
from actors.shard_runner import RunnerSettings
from orchestrator.errors import TMSError, Unavailable
from orchestrator.identity import shard_tokens, webhook_tokens
from orchestrator.jobs import environment, queue
from orchestrator.jobs.model import Resources
from orchestrator.jobs.queue import Node, Waiting
from storage import job_shards, postgres
from storage.job_shards import Key, LostShard, Placed

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
RETRY_SECONDS = 1.0
MOST_CANDIDATES = 500
TELL_SECONDS = 5.0
OVERSIZED_LEASES = 4
"""So many leases long, a shard waits for a node that could hold it."""


class SchedulerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about managed shards.

    Attributes:
        url: of the server, as the nodes reach it.
        secret_key: the server's; tokens are derived from it, and variables of jobs sealed with it.
        tenant_shards: of one tenant at once; 0 sets no limit.
        runner: what runners are told.
    """

    url: str
    secret_key: bytes
    tenant_shards: int
    runner: RunnerSettings


class Runner(Protocol):
    """How a runner is reached; the actor's handle is behind it."""

    async def run(self, assignment: Assignment) -> None:
        """As `ShardRunner.run`; raises `RayError` where it dies, or the run fails."""

    def kill(self) -> None:
        """End its process at once; it may have ended."""


class Nodes(Protocol):
    """The cluster, as the scheduler sees it."""

    async def look(self) -> list[Node]:
        """Each node, with its resources."""

    def start(self, name: str, resources: Resources, settings: RunnerSettings) -> Runner:
        """Have a runner made where these resources are; Ray waits with it until they are."""


class ShardScheduler:
    """Places managed shards on the cluster; a plain class, made an actor by `actors.cluster`."""

    def __init__(self, number: int, database_url: str, settings: SchedulerSettings, nodes: Nodes) -> None:
        self._database_url = database_url
        self._measures = SchedulerMeasures(number)
        self._settings = settings
        self._nodes = nodes
        self._lease = timedelta(seconds=settings.runner.lease_seconds)
        self._working: asyncio.Task[None] | None = None
        self._runners: dict[Key, asyncio.Task[None]] = {}
        self._oversized: dict[tuple[str, int], float] = {}
        self._counted = {"started_shards": 0, "lost_runners": 0}

    async def live(self) -> None:
        """Take up work, and stay; the caller learns of this process' end by the call's failure."""
        if self._working is None:  # each server of a cluster calls
            self._working = asyncio.create_task(self._work())
        await asyncio.gather(self._working)

    async def status(self) -> dict[str, float]:
        """Numbers for the metrics, and proof of life."""
        return {**self._counted, "runners": len(self._runners), "pid": os.getpid()}

    async def metrics(self) -> list[Metric]:
        """The same, for Prometheus."""
        return self._measures.families(await self.status())

    async def _work(self) -> None:
        """Look again and again."""
        while True:
            try:
                async with postgres.connected(self._database_url) as connection:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(LOOK_SECONDS)
            except (Unavailable, postgres.DatabaseError) as error:
                # It must not end for this: its runners would end with it.
                log.warning("scheduler waits for the database", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, connection: postgres.DirectConnection) -> None:
        """See to what has changed, and start what there is room for."""
        await job_shards.end_needless(connection)
        kept = await job_shards.renew(connection, list(self._runners))
        for key in self._runners.keys() - kept:
            self._runners[key].cancel()  # nobody is to run it any more, or another attempt has it
        await job_shards.lapse_silent(connection, self._lease)
        await asyncio.gather(*map(self._tell_lost, await job_shards.lost(connection)))
        for placed in await self._place(connection):
            task = asyncio.create_task(self._run(placed))
            self._runners[placed.key] = task
            task.add_done_callback(partial(self._forget, placed.key))

    def _forget(self, key: Key, _task: asyncio.Task[None]) -> None:
        self._runners.pop(key, None)

    async def _place(self, connection: postgres.DirectConnection) -> list[Placed]:
        """Take shards that wait, in their turns, as many as there is room for."""
        async with connection.transaction():
            found = await job_shards.candidates(connection, self._settings.tenant_shards, MOST_CANDIDATES)
            if not found:
                self._oversized = {}
                return []
            waiting = [Waiting(one.execution_id, one.shard, one.definition.resources) for one in found]
            nodes = await self._nodes.look()
            await self._hinder(connection, queue.oversized(waiting, nodes))
            chosen = queue.choose(waiting, nodes)
            return await job_shards.place(connection, [(one.execution_id, one.shard) for one in chosen])

    async def _hinder(self, connection: postgres.DirectConnection, oversized: Sequence[Waiting]) -> None:
        """Tell of shards that no node could hold, and give them up once a node that was lost would be back."""
        now, patience = monotonic(), OVERSIZED_LEASES * self._settings.runner.lease_seconds
        before = self._oversized
        keys = [(one.execution_id, one.shard) for one in oversized]
        self._oversized = {key: before.get(key, now) for key in keys}
        for key, one in zip(keys, oversized, strict=True):
            is_given_up = now - self._oversized[key] > patience
            if is_given_up or key not in before:
                wanted = ", ".join(f"{name} {amount:g}" for name, amount in one.resources.wanted().items())
                reason = f"No node of the cluster has so much: {wanted}"
                await job_shards.hinder(connection, *key, reason, is_given_up=is_given_up)

    async def _run(self, placed: Placed) -> None:
        """Have one attempt run, and take the shard from a runner that died."""
        key = placed.key
        try:
            assignment = self._assignment(placed)
            runner = self._nodes.start(key.runner_id, placed.definition.resources, self._settings.runner)
        except (TMSError, ValueError) as error:
            log.warning("shard cannot be started", execution_id=key.execution_id, shard=key.shard, error=str(error))
            await self._note(job_shards.give_up, key, str(error))
            return
        self._counted["started_shards"] += 1
        try:
            await runner.run(assignment)
        except RayError as error:
            self._counted["lost_runners"] += 1
            log.warning("runner died", execution_id=key.execution_id, shard=key.shard, error=type(error).__name__)
            await self._note(job_shards.lapse, key, "Its runner, or the node that it was on, died")
        finally:
            runner.kill()

    async def _note(
        self, change: Callable[[postgres.Connection, Key, str], Awaitable[None]], key: Key, why: str
    ) -> None:
        """Write down what became of an attempt; where that does not work, its shard lapses later."""
        with suppress(Unavailable):
            async with postgres.connected(self._database_url) as connection:
                await change(connection, key, why)

    def _assignment(self, placed: Placed) -> Assignment:
        """All that an attempt needs.

        Raises:
            InternalError: the job's variables cannot be opened.
        """
        key, secret_key = placed.key, self._settings.secret_key
        return Assignment(
            key=key,
            tenant_id=placed.tenant_id,
            shards=placed.shards,
            definition=placed.definition,
            parameters=dict(placed.run.parameters),
            environment=environment.opened(secret_key, placed.run.job_id, placed.environment),
            access=self._access(key.execution_id),
        )

    def _access(self, execution_id: str) -> Access:
        secret_key = self._settings.secret_key
        return Access(
            self._settings.url,
            shard_tokens.token_of(secret_key, execution_id),
            webhook_tokens.token_of(secret_key, execution_id),
        )

    async def _tell_lost(self, lost: LostShard) -> None:
        """End a shard that is not run again; where that does not work now, it is done at the next look."""
        with suppress(TimeoutError, Refused):
            async with (
                asyncio.timeout(TELL_SECONDS),
                ShardReporter(self._access(lost.key.execution_id), lost.key) as it,
            ):
                await it.end("error", {"exitCode": None, "reason": lost.reason})
