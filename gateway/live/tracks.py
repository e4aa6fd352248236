"""What a reader gets, each a line of frames of its own: an execution's events, its tests, or all executions' events.

A track first catches up with the log, while what comes meanwhile waits; from then on it gives what comes. When more
would wait than may, it drops all of that and catches up anew: events with a snapshot, tests by reading on in the log
where the reader stopped.
"""

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Protocol

from gateway.live.frames import Frame
from gateway.live.stream import Stream
from gateway.live.subscriber import Queue, Subscriber
from orchestrator.errors import Unavailable
from orchestrator.executions.model import ExecutionStatus

SNAPSHOTS_PAGE = 50
"""Executions read at a time for a reader of all of them."""


class NumberedTrack:
    """The frames of one stream: the reader gets each number once and in order.

    Attributes:
        position: number of the last frame written.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        stream: Stream,
        after: int | None,
        snapshot: Callable[[int], Awaitable[Frame]] | None = None,
    ) -> None:
        """Make one, which has to join the stream.

        Args:
            subscriber: the reader.
            stream: has begun.
            after: the last number that the reader has; None to begin with a snapshot.
            snapshot: reads one that is not older than a number; None where there are no snapshots.
        """
        self.position = after or 0
        self._subscriber = subscriber
        self._stream = stream
        self._snapshot = snapshot
        self._wants_snapshot = after is None
        self._waiting = Queue()
        self._is_behind = True
        self._is_open = False
        self._target = 0

    @property
    def has_work(self) -> bool:
        """Whether something is to be read or written."""
        return self._is_behind or bool(self._waiting)

    def offer(self, frame: Frame) -> None:
        """Take the next frame of the stream."""
        if not self._is_open or frame.number <= self.position:
            return
        if self._subscriber.write(frame):
            self.position = frame.number
        elif self._waiting.put(frame):
            self._subscriber.wake()
        else:
            self._overflow()

    async def work(self) -> None:
        """Catch up a part of the way, or write what waits.

        Raises:
            NotFound: the execution is gone.
            Unavailable: the database is away.
            ConnectionError: the reader is gone.
        """
        if self._is_behind:
            await self._catch_up()
        else:
            await self._send(self._waiting.get())

    async def _catch_up(self) -> None:
        """A snapshot, or some frames of the log, up to where the stream was when this track opened."""
        if not self._is_open:
            self._is_open = True
            self._target = self._stream.head
        if self._wants_snapshot and self._snapshot is not None:
            await self._send_snapshot(await self._snapshot(self._target))
        elif self.position < self._target:
            await self._send_page(await self._stream.read(self.position))
        if self._is_open and self.position >= self._target:
            self._is_behind = False

    async def _send_snapshot(self, frame: Frame) -> None:
        if self._is_open:  # else there was an overflow while it was read, so that it may be too old
            self._wants_snapshot = False
            await self._send(frame)

    async def _send_page(self, frames: list[Frame]) -> None:
        if not frames:
            self._target = self.position  # only a database that was set back has fewer than there were
        for frame in frames:
            if self._is_open:
                await self._send(frame)

    async def _send(self, frame: Frame) -> None:
        if frame.number > self.position:
            self.position = frame.number
            await self._subscriber.send(frame)

    def _overflow(self) -> None:
        self._waiting.clear()
        self._is_open = False
        self._is_behind = True
        if self._snapshot is None:
            self._subscriber.wake()
        else:
            self._wants_snapshot = True
            self._subscriber.overflow()


class Snapshots(Protocol):
    """Reads executions of one tenant."""

    async def snapshots(self, execution_ids: list[str]) -> list[Frame]:
        """These executions as they stand, those that are gone left out."""


class FeedTrack:
    """The events of many executions: each begins with a snapshot or its first event, and goes on in order."""

    def __init__(
        self, subscriber: Subscriber, source: Snapshots, status: ExecutionStatus | None, present: list[str]
    ) -> None:
        """Make one.

        Args:
            subscriber: the reader.
            source: reads snapshots.
            status: of the executions wanted; None for all.
            present: executions to begin with.
        """
        self._subscriber = subscriber
        self._source = source
        self._status = status
        self._missing = dict.fromkeys(present)
        self._ahead: dict[str, int] = {}
        self._waiting = Queue()

    @property
    def has_work(self) -> bool:
        """Whether something is to be read or written."""
        return bool(self._missing) or bool(self._waiting)

    def offer(self, frame: Frame) -> None:
        """Take the next event of an execution."""
        if frame.execution_id in self._missing or self._is_old(frame):
            return
        if self._subscriber.write(frame):
            self._ahead.pop(frame.execution_id, None)
        elif self._waiting.put(frame):
            self._subscriber.wake()
        else:
            self._missing |= dict.fromkeys(dropped.execution_id for dropped in (*self._waiting.clear(), frame))
            self._subscriber.overflow()

    def miss(self, execution_id: str) -> None:
        """Begin with this execution, or begin anew."""
        self._missing[execution_id] = None
        self._subscriber.wake()

    async def work(self) -> None:
        """Read and write some snapshots, or write what waits.

        Raises:
            Unavailable: the database is away.
            ConnectionError: the reader is gone.
        """
        if self._missing:
            for frame in await self._read_missing():
                await self._send_snapshot(frame)
            return
        frame = self._waiting.get()
        if not self._is_old(frame):
            self._ahead.pop(frame.execution_id, None)
            await self._subscriber.send(frame)

    async def _read_missing(self) -> list[Frame]:
        """Read some; their events wait from here on, since the snapshots may come before or after them."""
        page = list(islice(self._missing, SNAPSHOTS_PAGE))
        for execution_id in page:
            del self._missing[execution_id]
        try:
            return await self._source.snapshots(page)
        except Unavailable:
            self._missing = dict.fromkeys(page) | self._missing
            raise

    async def _send_snapshot(self, frame: Frame) -> None:
        if self._is_old(frame):
            return
        self._ahead[frame.execution_id] = frame.number
        if self._status in (None, frame.status):
            await self._subscriber.send(frame)

    def _is_old(self, frame: Frame) -> bool:
        """Whether a snapshot that the reader got, or could have got but for its status, has it already."""
        return frame.number <= self._ahead.get(frame.execution_id, 0)
