"""The owner of a partition: the one process that may change its executions.

Commands of many callers gather in an inbox. A single loop drains it: all that has come is decided, one command after
the other, written in one transaction, and only then answered (group commit). Memory is a cache of the rows: after any
doubt it is dropped and read again. A commit of an owner that was replaced is refused by the database.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg
import msgspec
import structlog
from prometheus_client import Metric

from actors.deadlines import Deadlines
from actors.lease_clock import HeldLease, LeaseClock
from actors.measures import OwnerMeasures
from actors.news import NewsDesk
from actors.progress import ProgressClock
from actors.subscribers import Subscribers
from actors.transaction import Transaction
from orchestrator.errors import StaleOwner, Unavailable
from orchestrator.executions.commands import AnyCommand, Beat, Expire, Lapse, Postponed, Refusal, Reply, Stream, Tick
from orchestrator.executions.model import Execution
from storage import commits, executions, plans, postgres

log = structlog.get_logger(__name__)

BATCH_COMMANDS = 512
BATCH_BYTES = 8 * 1024 * 1024
RETRY_SECONDS = 1.0
STALL_SECONDS = 1.0
"""A commit that takes longer holds up the signs of life behind it, for which no runner can be blamed."""

_commands = msgspec.msgpack.Decoder(list[AnyCommand])
_replies = msgspec.msgpack.Encoder()

Item = tuple[AnyCommand, asyncio.Future[Reply]]


def utc_now() -> datetime:
    """The server's clock."""
    return datetime.now(UTC)


class OwnerSettings(msgspec.Struct, frozen=True):
    """What owners are told when they are made.

    Attributes:
        progress_seconds: how often webhooks are told of the progress of an execution.
        lease_seconds: how long a runner may be silent before it loses its lease.
    """

    progress_seconds: float = 30.0
    lease_seconds: float = 30.0


class ExecutionOwner:
    """Owns the executions of one partition; a plain class, made an actor by `actors.cluster`."""

    def __init__(
        self,
        partition: int,
        database_url: str,
        redis_url: str,
        settings: OwnerSettings,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._partition = partition
        self._database_url = database_url
        self._clock = clock
        self._measures = OwnerMeasures(partition)
        self._news = NewsDesk(partition, redis_url, self._measures)
        self._inbox: deque[Item] = deque()
        self._arrival = asyncio.Event()
        self._alarm = asyncio.Event()
        self._executions: dict[str, Execution] = {}
        self._tenants: dict[str, int] = {}
        self._deadlines = Deadlines()
        self._subscribers = Subscribers()
        self._progress = ProgressClock(timedelta(seconds=settings.progress_seconds))
        self._leases = LeaseClock(timedelta(seconds=settings.lease_seconds))
        self._connection: postgres.DirectConnection | None = None
        self._epoch: int | None = None
        self._is_replaced = False
        self._loops: list[asyncio.Task[None]] = []
        self._counted = {"commands": 0, "commits": 0, "failed_commits": 0, "claims": 0}

    async def live(self) -> None:
        """Take up work, and stay; the caller learns of this process' end by the call's failure."""
        self._start()
        await asyncio.gather(*self._loops)

    async def handle(self, batch: bytes) -> bytes:
        """Carry out commands.

        Args:
            batch: msgpack of a list of commands.

        Returns:
            msgpack of the list of their replies, in the same order, each committed before.
        """
        self._start()
        loop = asyncio.get_running_loop()
        items = [(command, loop.create_future()) for command in _commands.decode(batch)]
        now = self._clock()
        for command, _ in items:
            # A sign of life is one when it comes, however long what it says waits for its turn.
            if isinstance(command, Beat | Stream):
                self._leases.renew(HeldLease(command.execution_id, command.lease), now)
        self._inbox.extend(items)
        self._arrival.set()
        return _replies.encode(await asyncio.gather(*(future for _, future in items)))

    async def status(self) -> dict[str, float]:
        """What it has done and is doing, and proof of life."""
        deadline, now = self._deadlines.next(), self._clock()
        return {
            **self._counted,
            "epoch": self._epoch or 0,
            "queued": len(self._inbox),
            "unannounced": len(self._news),
            "resyncs": self._news.resyncs,
            "executions_in_memory": len(self._executions),
            "deadlines": len(self._deadlines),
            "leases": len(self._leases),
            "overdue_seconds": 0.0 if deadline is None else max(0.0, (now - deadline).total_seconds()),
            "pid": os.getpid(),
        }

    async def metrics(self) -> list[Metric]:
        """The same and more, for Prometheus."""
        return self._measures.families(await self.status())

    async def close(self) -> None:
        """Stop at once; what was not answered yet may or may not be committed, as with any crash."""
        await self._news.close()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._disconnect()

    def _start(self) -> None:
        if not self._loops:
            self._loops = [asyncio.create_task(work()) for work in (self._work, self._watch_clock, self._news.run)]

    async def _work(self) -> None:
        """The one loop that changes anything."""
        while True:
            if self._inbox:
                items = self._drain()
                replies = await self._carry_out([command for command, _ in items])
                for (_, future), reply in zip(items, replies, strict=True):
                    if not future.done():
                        future.set_result(reply)
            elif self._epoch is None and not self._is_replaced:
                await self._take_up()
            else:
                await self._more(None)

    async def _more(self, seconds: float | None) -> None:
        """Wait for a command, so long at the most."""
        self._arrival.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrival.wait()

    def _drain(self) -> list[Item]:
        items: list[Item] = []
        size = 0
        while self._inbox and len(items) < BATCH_COMMANDS and size < BATCH_BYTES:
            item = self._inbox.popleft()
            size += item[0].payload_bytes
            items.append(item)
        return items

    async def _take_up(self) -> None:
        """Claim the partition without being asked, so that deadlines run whether commands come or not."""
        try:
            async with postgres.translated():
                await self._claimed()
        except Unavailable as error:
            log.warning("waiting for the database", partition=self._partition, error=error.message)
            await self._more(RETRY_SECONDS)

    async def _carry_out(self, batch: Sequence[AnyCommand]) -> list[Reply]:
        """Commit a batch. A command that the store cannot take is found by trying each alone."""
        try:
            return await self._commit(batch)
        except StaleOwner as error:
            self._forget()
            self._is_replaced = True
            self._clear()
            return self._postponed(batch, error.message)
        except Unavailable as error:
            self._forget()
            return self._postponed(batch, error.message)
        except Exception as error:
            self._forget()
            if len(batch) > 1:
                return [reply for command in batch for reply in await self._carry_out([command])]
            if isinstance(error, asyncpg.UniqueViolationError):
                # Another partition has just carried out a command of the same id: its receipt is there next time.
                return self._postponed(batch, "The same command is being carried out already")
            log.exception("command failed", partition=self._partition, command=type(batch[0]).__name__)
            return [Refusal(code="INTERNAL_ERROR", message=f"The command failed: {type(error).__name__}")]

    def _postponed(self, batch: Sequence[AnyCommand], message: str) -> list[Reply]:
        log.warning("commit failed", partition=self._partition, commands=len(batch), error=message)
        return [Postponed(message=message)] * len(batch)

    async def _commit(self, batch: Sequence[AnyCommand]) -> list[Reply]:
        began = monotonic()
        async with postgres.translated():
            connection, epoch = await self._claimed()
            now = self._clock()
            work = Transaction(self._partition, self._executions, self._subscribers, self._progress, self._leases, now)
            async with connection.transaction():
                revision = await commits.fence(connection, self._partition, epoch)
                replies = await work.carry_out(connection, batch, revision)
        self._keep(work.states.values(), now)
        self._progress.told(work.told & self._executions.keys(), now)
        for lease in work.renewed:
            self._leases.renew(lease, now)
        took = monotonic() - began
        if took > STALL_SECONDS:
            self._leases.grant(timedelta(seconds=took))
        self._news.announce(*work.news(), work.due())
        self._counted["commands"] += len(batch)
        self._counted["commits"] += 1
        self._measures.committed(len(batch), work.tests, work.events, took)
        return replies

    def _keep(self, states: Iterable[Execution], now: datetime) -> None:
        """Remember what runs, forget what ended; and wake the watch if a moment to act came nearer."""
        before = self._next_moment()
        for execution in states:
            self._deadlines.set(execution.execution_id, execution.deadline)
            self._leases.follow(execution, now)
            if execution.is_finished:
                self._executions.pop(execution.execution_id, None)
                self._tenants.pop(execution.execution_id, None)
                self._progress.drop(execution.execution_id)
            else:
                self._executions[execution.execution_id] = execution
                self._tenants[execution.execution_id] = execution.tenant_id
                if execution.started_at is not None:
                    self._progress.follow(execution.execution_id, execution.started_at, now)
        if self._next_moment() != before:
            self._alarm.set()

    def _next_moment(self) -> datetime | None:
        """When the next deadline falls due, a lease lapses, or an execution tells how far it is."""
        moments = (self._deadlines.next(), self._leases.next(), self._progress.next())
        return min(filter(None, moments), default=None)

    async def _claimed(self) -> tuple[postgres.DirectConnection, int]:
        """A connection, and the epoch under which this owner writes; both anew where they were lost."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await postgres.connect(self._database_url)
        if self._epoch is None:
            self._clear()
            self._epoch = await commits.claim(self._connection, self._partition)
            self._is_replaced = False
            self._counted["claims"] += 1
            now = self._clock()
            for unfinished in await executions.unfinished(self._connection, self._partition):
                self._tenants[unfinished.execution_id] = unfinished.tenant_id
                self._deadlines.set(unfinished.execution_id, unfinished.deadline)
                if unfinished.started_at is not None:
                    self._progress.follow(unfinished.execution_id, unfinished.started_at, now)
            self._leases.resume(await plans.open_leases(self._connection, self._partition), now)
            self._alarm.set()
            self._news.resync()
            log.info("partition claimed", partition=self._partition, epoch=self._epoch, running=len(self._deadlines))
        return self._connection, self._epoch

    def _clear(self) -> None:
        """Drop all that memory holds of executions; one that has ended meanwhile must not be timed any more."""
        self._executions.clear()
        self._tenants.clear()
        self._deadlines = Deadlines()
        self._leases.clear()
        self._progress.clear()

    def _forget(self) -> None:
        """After a failed commit nothing in memory is certain: read rows and epoch anew, missed deadlines among them."""
        self._counted["failed_commits"] += 1
        self._executions.clear()
        self._epoch = None
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _watch_clock(self) -> None:
        """Give an `Expire` for every deadline, a `Lapse` for every lease, a `Tick` for every progress that is due."""
        while True:
            self._alarm.clear()
            moment = self._next_moment()
            seconds = None if moment is None else max(0.0, (moment - self._clock()).total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._alarm.wait()
            self.look_at_clock()

    def look_at_clock(self) -> None:
        """Give what is due by now."""
        now = self._clock()
        for execution_id in self._deadlines.pop_due(now):
            self._give(Expire(command_id="", tenant_id=self._tenants[execution_id], execution_id=execution_id))
        for lease in self._leases.pop_due(now):
            tenant_id, execution_id = self._tenants[lease.execution_id], lease.execution_id
            self._give(Lapse(command_id="", tenant_id=tenant_id, execution_id=execution_id, lease=lease.number))
        for execution_id in self._progress.pop_due(now):
            self._give(Tick(command_id="", tenant_id=self._tenants[execution_id], execution_id=execution_id))

    def _give(self, command: AnyCommand) -> None:
        """A command of this owner's own, whose reply nobody waits for."""
        self._inbox.append((command, asyncio.get_running_loop().create_future()))
        self._arrival.set()
