"""Runs one attempt of a shard on a node of the cluster: source, command, output, results; and always its end.

It holds the shard by signs of life in the database. Their answers tell it to stop, where the execution has ended or
another attempt has the shard; and where they fail for too long, it stops by itself, before another attempt begins.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

import msgspec
import structlog

from actors import shard_source
from actors.shard_assignment import Assignment
from actors.shard_output import ShardOutput
from actors.shard_process import Order, ShardProcess
from actors.shard_reporter import Refused, ShardReporter
from orchestrator.errors import TMSError, Unavailable
from storage import job_output, job_shards, jobs, postgres
from storage.job_shards import Key, Standing

log = structlog.get_logger(__name__)

BEATS_A_LEASE = 10
LONGEST_BEAT_SECONDS = 1.0
GIVE_UP_AT = 0.7
"""The part of a lease without an answer after which a runner stops: before another may begin."""

FINISH_SECONDS = 30.0
"""How long a command may go on after its execution has completed: it has told so itself, and is about to end."""

TELL_SECONDS = 10.0
"""How long the start of a shard is told; the command is not to wait longer."""

DRAIN_SECONDS = 5.0
"""How long the rest of an output is waited for, where a process that could not be ended still has it open."""

_SIGNALLED = 128

T = TypeVar("T")


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about runners.

    Attributes:
        database_url: as the nodes reach it.
        lease_seconds: silence after which a shard is run elsewhere.
        grace_seconds: between SIGTERM and SIGKILL.
        folders: those that jobs may run in.
    """

    database_url: str
    lease_seconds: float
    grace_seconds: float
    folders: tuple[str, ...]


class Ended(msgspec.Struct, frozen=True):
    """How a command ended; `reason`: why it was not by itself."""

    exit_code: int | None
    reason: str | None = None


class ShardRunner:
    """Runs attempts of shards, one in its life; a plain class, made an actor by `actors.cluster`."""

    def __init__(self, settings: RunnerSettings, node: str | None = None) -> None:
        self._settings = settings
        self._node = node or socket.gethostname()
        self._database = _Database(settings.database_url)
        self._stop = asyncio.Event()
        self._why: str | None = None

    async def run(self, assignment: Assignment) -> None:
        """Run it to its end; does nothing where another attempt has the shard.

        Raises:
            Unavailable: the database is away; another attempt is to be made.
        """
        key = assignment.key
        try:
            if not await self._database.use(lambda connection: job_shards.begin(connection, key, self._node)):
                return
            beating = asyncio.create_task(self._beat(key))
            scratch = shard_source.scratch()
            try:
                async with ShardReporter(assignment.access, key) as reporter:
                    ended = await self._run(assignment, reporter, scratch)
            finally:
                await asyncio.to_thread(shard_source.remove, scratch)
                beating.cancel()
            await self._database.use(lambda connection: job_shards.end(connection, key, ended.exit_code, ended.reason))
        finally:
            await self._database.close()

    async def _beat(self, key: Key) -> None:
        """Show that it lives, and learn whether to stop."""
        lease = self._settings.lease_seconds
        heard_at = monotonic()
        is_finishing = False
        while True:
            try:
                standing = await self._database.use(lambda connection: job_shards.beat(connection, key))
            except Unavailable:
                if monotonic() - heard_at > lease * GIVE_UP_AT:
                    self._end("the database was away for too long")
                    return
            else:
                heard_at = monotonic()
                if standing is Standing.STOP:
                    self._end("the execution has ended, or another attempt has this shard")
                    return
                if standing is Standing.FINISH and not is_finishing:
                    is_finishing = True
                    asyncio.get_running_loop().call_later(FINISH_SECONDS, self._end, "the execution has completed")
            await asyncio.sleep(min(LONGEST_BEAT_SECONDS, lease / BEATS_A_LEASE))

    def _end(self, why: str) -> None:
        self._why = self._why or why
        self._stop.set()

    async def _run(self, assignment: Assignment, reporter: ShardReporter, scratch: Path) -> Ended:
        key = assignment.key
        start = await self._database.use(lambda one: job_output.size(one, key.execution_id, key.shard))
        output = ShardOutput(start, lambda at, text: self._store(key, at, text))
        await output.say(f"attempt {key.attempt} on {self._node}")
        try:
            folder = await self._folder(assignment, scratch)
        except TMSError as error:
            await output.say(error.message)
            await self._unless_stopped(self._conclude_without(reporter, None, error.message))
            return Ended(None, error.message)
        await self._unless_stopped(_told(reporter))
        pattern = assignment.reports()
        before = {} if pattern is None else await asyncio.to_thread(shard_source.marks, folder, pattern)
        ended = await self._command(assignment, output, folder, scratch)
        await output.say(_in_words(ended))
        if not self._stop.is_set():
            fault = await self._unless_stopped(self._conclude(reporter, ended, folder, pattern, before))
            if fault is not None:
                await output.say(fault)
                return Ended(ended.exit_code, fault)
        return ended

    async def _folder(self, assignment: Assignment, scratch: Path) -> Path:
        """Where the command is run, with the source in it.

        Raises:
            SourceFault, UnreadableArchive, NotFound: it cannot be had.
        """
        definition = assignment.definition
        if definition.folder is not None:
            return await asyncio.to_thread(shard_source.shared, definition.folder, self._settings.folders)
        digest = definition.archive
        if digest is not None:
            content = await self._database.use(lambda one: jobs.archive(one, assignment.tenant_id, digest))
            await asyncio.to_thread(shard_source.unpack, content, scratch)
        return scratch

    async def _command(self, assignment: Assignment, output: ShardOutput, folder: Path, scratch: Path) -> Ended:
        """Run the command until it ends, is stopped, or takes too long."""
        process = await ShardProcess.start(
            Order(
                command=assignment.command(),
                folder=str(folder),
                environment=assignment.variables(os.environ),
                grace_seconds=self._settings.grace_seconds,
                scratch=str(scratch),
            )
        )
        following = asyncio.create_task(output.follow(process.output))
        waiting = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        limit = assignment.definition.timeout_ms
        try:
            done, _ = await asyncio.wait(
                (waiting, stopping),
                timeout=None if limit is None else limit / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
            reason = None
            if waiting not in done:
                reason = self._why if stopping in done else f"timed out after {limit} ms"
                process.stop()
            exit_code = await waiting
            await asyncio.wait((following,), timeout=DRAIN_SECONDS)
        finally:
            stopping.cancel()
            process.close()  # which ends the output too
        await following
        if exit_code is None:
            reason = reason or "the process that kept it was killed"
        return Ended(exit_code, reason)

    async def _conclude(
        self,
        reporter: ShardReporter,
        ended: Ended,
        folder: Path,
        pattern: str | None,
        before: shard_source.Marks,
    ) -> str | None:
        """See to it that the server knows of the shard's end; gives what is wrong with its reports."""
        try:
            if not await reporter.is_open():
                return None  # the command has told the server all by itself
        except Refused:
            return None
        exit_code = _code(ended)
        if pattern is not None and ended.reason is None:
            after = await asyncio.to_thread(shard_source.marks, folder, pattern)
            reports = shard_source.written(before, after)
            if reports:
                try:
                    await reporter.submit(reports, folder, exit_code)
                except (Refused, OSError) as error:
                    fault = f"its reports cannot be read: {error}"
                    await self._conclude_without(reporter, exit_code, fault)
                    return fault
                return None
        await self._conclude_without(reporter, exit_code, ended.reason)
        return None

    async def _conclude_without(self, reporter: ShardReporter, exit_code: int | None, reason: str | None) -> None:
        """End the shard by the exit code of its command alone."""
        is_well = exit_code == 0 and reason is None
        with suppress(Refused):
            await reporter.end("completed" if is_well else "error", {"exitCode": exit_code, "reason": reason})

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """Do something that may take long; None where nobody waits for it any more."""
        working, stopping = asyncio.ensure_future(work), asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working in done:
            return working.result()
        working.cancel()
        return None

    async def _store(self, key: Key, start: int, text: str) -> None:
        """Keep a piece of output; while the database is away the command waits, until the lease ends it."""
        while True:
            try:
                await self._database.use(lambda connection: job_output.append(connection, key, start, text))
            except Unavailable:
                if self._stop.is_set():
                    return
                await asyncio.sleep(LONGEST_BEAT_SECONDS)
            else:
                return


class _Database:
    """One connection, used by one at a time, and made anew where it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = asyncio.Lock()
        self._connection: postgres.DirectConnection | None = None

    async def use(self, work: Callable[[postgres.Connection], Awaitable[T]]) -> T:
        """Work with it.

        Raises:
            Unavailable: the database is away.
        """
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await postgres.connect(self._url)
            async with postgres.translated():
                return await work(self._connection)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


async def _told(reporter: ShardReporter) -> None:
    """Tell that the shard runs; where that does not work soon, its results will tell."""
    with suppress(TimeoutError, Refused):
        async with asyncio.timeout(TELL_SECONDS):
            await reporter.started()


def _code(ended: Ended) -> int:
    """As a shell has it: 128 and the signal's number where one ended the command."""
    if ended.exit_code is None:
        return _SIGNALLED
    return _SIGNALLED - ended.exit_code if ended.exit_code < 0 else ended.exit_code


def _in_words(ended: Ended) -> str:
    if ended.exit_code is None:
        how = "the command was killed"
    elif ended.exit_code < 0:
        how = f"the command was ended by signal {-ended.exit_code}"
    else:
        how = f"the command ended with {ended.exit_code}"
    return how if ended.reason is None else f"{how}: {ended.reason}"
