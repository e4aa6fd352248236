"""What a gateway holds of the owners: commands go in, committed receipts come out.

A Ray call costs about a millisecond of CPU whatever it carries, and so does a commit: while a call to a partition is
under way, the next batch gathers. (A second call under way kept the owner no busier, and made batches half as large:
19 submissions a commit instead of 34, at a fifth more CPU of the owner.)

A call that fails (its owner was killed, is restarting, or lost its database) is sent again with the same command ids
until each command's time is up; the ids make that harmless.

Tenants take turns where many wait, and none may fill more than half of a queue.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol
from zlib import crc32

import msgspec
import structlog
from ray.exceptions import RayError

from actors.fair_queue import FairQueue
from orchestrator import errors
from orchestrator.executions.commands import PLACES_NEEDED, AnyCommand, Postponed, Receipt, Refusal, Reply

log = structlog.get_logger(__name__)

BATCH_COMMANDS = 256
BATCH_BYTES = 4 * 1024 * 1024
QUEUE_COMMANDS = 4096
QUEUE_COMMANDS_OF_TENANT = QUEUE_COMMANDS // 2
QUEUE_BYTES = 256 * 1024 * 1024
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

_commands = msgspec.msgpack.Encoder()
_replies = msgspec.msgpack.Decoder(list[Reply])


class PlacesNeeded(errors.Conflict):
    """The execution has a plan, and its owner must be told where in it the tests stand; never a client's business."""

    code = PLACES_NEEDED


class Owner(Protocol):
    """How a partition's owner is reached; the actor's handle is behind it."""

    async def handle(self, batch: bytes) -> bytes:
        """Carry out a batch, as `ExecutionOwner.handle`."""


class _Letter:
    """A command on its way."""

    __slots__ = ("command", "due", "future", "size")

    def __init__(self, command: AnyCommand, due: float) -> None:
        self.command = command
        self.due = due
        self.size = 200 + command.payload_bytes
        self.future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()


class Mailbox:
    """Sends commands to the owners of their executions.

    Args:
        owners: one for each partition, in order.
        wait_seconds: how long a command may take, retries included.
        clock: monotonic seconds.
    """

    def __init__(self, owners: Sequence[Owner], wait_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._lanes = [_Lane(partition, owner, clock) for partition, owner in enumerate(owners)]
        self._wait_seconds = wait_seconds
        self._clock = clock

    async def send(self, command: AnyCommand) -> Receipt:
        """Have a command carried out and committed.

        Raises:
            Unavailable: the queue is full, or no owner could commit it in time; it may be sent again.
            NotFound, Conflict, ValidationFailed, InternalError: the owner refused it.
            PlacesNeeded: results came without their places in the execution's plan.
        """
        lane = self._lanes[partition_of(command.execution_id, len(self._lanes))]
        letter = _Letter(command, self._clock() + self._wait_seconds)
        lane.post(letter)
        return await letter.future

    def depths(self) -> list[int]:
        """Commands waiting or under way, for each partition."""
        return [lane.depth for lane in self._lanes]

    async def close(self) -> None:
        """Stop; commands under way fail with `Unavailable`."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


def partition_of(execution_id: str, partitions: int) -> int:
    """Which partition an execution belongs to; the same in every process."""
    return crc32(execution_id.encode()) % partitions


class _Lane:
    """The way to one partition."""

    def __init__(self, partition: int, owner: Owner, clock: Callable[[], float]) -> None:
        self._partition = partition
        self._owner = owner
        self._clock = clock
        self._queue: FairQueue[_Letter] = FairQueue()
        self._under_way: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._waiting: asyncio.TimerHandle | None = None
        self.depth = 0
        self._bytes = 0

    def post(self, letter: _Letter) -> None:
        is_full = self.depth >= QUEUE_COMMANDS or self._bytes + letter.size > QUEUE_BYTES
        if is_full or self._queue.of(letter.command.tenant_id) >= QUEUE_COMMANDS_OF_TENANT:
            raise errors.Unavailable("Too many results are waiting to be stored; try again", retry_after=1)
        self.depth += 1
        self._bytes += letter.size
        letter.future.add_done_callback(lambda _: self._leave(letter))
        self._queue.push(letter.command.tenant_id, letter)
        self._send()

    def _leave(self, letter: _Letter) -> None:
        self.depth -= 1
        self._bytes -= letter.size

    def _send(self) -> None:
        """Start a call, if there is something to send, nothing under way, and no pause."""
        if self._waiting is not None or self._under_way is not None:
            return
        batch = self._take()
        if batch:
            self._under_way = asyncio.create_task(self._call(batch))
            self._under_way.add_done_callback(self._ended)

    def _ended(self, _call: asyncio.Task[None]) -> None:
        self._under_way = None
        self._send()

    def _take(self) -> list[_Letter]:
        batch: list[_Letter] = []
        size = 0
        while self._queue and len(batch) < BATCH_COMMANDS and size < BATCH_BYTES:
            letter = self._queue.pop()
            if not letter.future.done():
                batch.append(letter)
                size += letter.size
        return batch

    async def _call(self, batch: list[_Letter]) -> None:
        try:
            answer = await self._owner.handle(_commands.encode([letter.command for letter in batch]))
        except RayError as error:
            log.warning("owner is away", partition=self._partition, error=type(error).__name__, commands=len(batch))
            self._again(batch, "The owner of this execution is restarting; try again")
            return
        except asyncio.CancelledError:
            _fail(batch, errors.Unavailable("The server is stopping; try again"))
            raise
        postponed: list[_Letter] = []
        message = ""
        for letter, reply in zip(batch, _replies.decode(answer), strict=True):
            if isinstance(reply, Postponed):
                postponed.append(letter)
                message = reply.message
            elif not letter.future.done():
                _settle(letter.future, reply)
        if postponed:
            self._again(postponed, message)
        else:
            self._pause = 0.0

    def _again(self, batch: list[_Letter], message: str) -> None:
        """Put commands back in front, to be sent after a pause; those whose time is up fail."""
        now = self._clock()
        _fail([letter for letter in batch if letter.due <= now], errors.Unavailable(message))
        remaining = [letter for letter in batch if letter.due > now]
        for letter in remaining:
            letter.command = msgspec.structs.replace(letter.command, may_repeat=True)
        self._queue.push_back((letter.command.tenant_id, letter) for letter in remaining)
        self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, self._pause * 2))
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self._pause, self._resume)

    def _resume(self) -> None:
        self._waiting = None
        self._send()

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        _fail(self._queue.clear(), errors.Unavailable("The server is stopping; try again"))
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)


def _fail(letters: list[_Letter], error: errors.TMSError) -> None:
    for letter in letters:
        if not letter.future.done():
            letter.future.set_exception(error)


def _settle(future: asyncio.Future[Receipt], reply: Receipt | Refusal) -> None:
    if isinstance(reply, Receipt):
        future.set_result(reply)
    else:
        future.set_exception(refusal_error(reply))


def refusal_error(refusal: Refusal) -> errors.TMSError:
    """The error that a refusal is for a caller."""
    match refusal.code:
        case code if code == PLACES_NEEDED:
            return PlacesNeeded(refusal.message)
        case "NOT_FOUND":
            return errors.NotFound(refusal.message)
        case "CONFLICT":
            return errors.Conflict(refusal.message)
        case "VALIDATION_ERROR" | "IDEMPOTENCY_KEY_REUSED":
            return errors.ValidationFailed(*refusal.details, message=refusal.message, code=refusal.code)
        case _:
            return errors.InternalError(refusal.message)
