"""One watched execution: its two streams, and its snapshot, read once for all who want it."""

import asyncio
from typing import Protocol

import msgspec

from gateway.live.frames import Frame
from gateway.live.replay import Replay, Snapshot
from gateway.live.stream import Stream
from orchestrator.errors import NotFound
from orchestrator.executions.model import UNFINISHED
from storage.live import Head


class Observer(Protocol):
    """Who follows the events of every channel."""

    def observe(self, channel: "Channel", frame: Frame) -> None:
        """Take the next event of a channel; may neither wait nor raise."""


class Channel:
    """What the readers of one execution share.

    Attributes:
        head: suite, environment and status after the last event passed on; None until they are known. How far it has
            come is for the streams to say.
        events: the stream of its events.
        tests: the stream of its frames of tests.
        readers: how many watch this execution alone.
        is_met: whether those who watch all executions have been told of this one.
        ended_at: when it was found to have ended, by the loop's clock; None while it runs.
    """

    def __init__(self, replay: Replay, tenant_id: int, execution_id: str, observer: Observer) -> None:
        self.execution_id = execution_id
        self.head: Head | None = None
        self.events = Stream(self._read_events, self._passed)
        self.tests = Stream(self._read_tests)
        self.readers = 0
        self.is_met = False
        self.ended_at: float | None = None
        self._replay = replay
        self._tenant_id = tenant_id
        self._observer = observer
        self._latest: Frame | None = None
        self._reading: asyncio.Task[Frame] | None = None

    async def find(self) -> None:
        """Learn where both streams are, if that is not known.

        Raises:
            NotFound: this tenant has no such execution.
            Unavailable: the database is away.
        """
        if not (self.events.has_begun and self.tests.has_begun):
            await self._read()

    def place(self, head: Head) -> None:
        """Let both streams begin here, where they have not begun yet."""
        if self.head is None:
            self._set(head)
        self.events.begin(head.seq)
        self.tests.begin(head.frames)

    def hear_of(self, head: Head) -> None:
        """Learn how far the log goes."""
        self.events.hear_of(head.seq)
        self.tests.hear_of(head.frames)

    async def snapshot(self, at_least: int) -> Frame:
        """The execution as it stands, not older than its event `at_least`.

        Raises:
            NotFound, Unavailable: as `find`.
        """
        if self.cached(at_least) is None and self._reading is not None:
            await asyncio.shield(self._reading)  # it began before this call: what it finds may still be too old
        return self.cached(at_least) or await self._read()

    def cached(self, at_least: int) -> Frame | None:
        """The last snapshot, if it is recent enough."""
        return self._latest if self._latest is not None and self._latest.number >= at_least else None

    def keep(self, snapshot: Snapshot) -> None:
        """Learn from a snapshot that was read."""
        if self.cached(snapshot.frame.number) is None:
            self._latest = snapshot.frame
        self.place(snapshot.head)

    def close(self) -> None:
        """Stop reading."""
        self.events.close()
        self.tests.close()

    async def _read(self) -> Frame:
        """Read a snapshot, once for all who ask at the same time."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_alone())
            self._reading.add_done_callback(_settle)
        return await asyncio.shield(self._reading)

    async def _read_alone(self) -> Frame:
        try:
            found = await self._replay.snapshots(self._tenant_id, [self.execution_id])
        finally:
            self._reading = None
        if self.execution_id not in found:
            raise NotFound(f"No execution {self.execution_id}")
        self.keep(found[self.execution_id])
        return found[self.execution_id].frame

    def _passed(self, frame: Frame) -> None:
        if frame.status is not None and self.head is not None and frame.status is not self.head.status:
            self._set(msgspec.structs.replace(self.head, status=frame.status))
        self._observer.observe(self, frame)

    def _set(self, head: Head) -> None:
        self.head = head
        self.ended_at = None if head.status in UNFINISHED else asyncio.get_running_loop().time()

    async def _read_events(self, after: int) -> list[Frame]:
        return await self._replay.events(self._tenant_id, self.execution_id, after)

    async def _read_tests(self, after: int) -> list[Frame]:
        return await self._replay.tests(self._tenant_id, self.execution_id, after)


def _settle(reading: asyncio.Task[Frame]) -> None:
    """Take note of the outcome even where all who asked have left."""
    if not reading.cancelled():
        reading.exception()
