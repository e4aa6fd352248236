"""One reader: it is written to at once while it keeps up, and by a task of its own while it does not."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog

from gateway.live.frames import Frame
from gateway.live.measures import LiveMeasures
from gateway.live.sinks import Sink
from gateway.live.stream import RETRY_SECONDS
from orchestrator.errors import NotFound, Unavailable

MOST_FRAMES = 1024
MOST_BYTES = 2 * 1024 * 1024
"""What may wait for one reader in each of its tracks."""

LEFT, FAILED, GONE, TOO_SLOW = 1000, 1011, 4404, 4408
"""Codes to close with: it left by itself, a fault of ours, its execution is no more, it did not keep up."""

_OVERFLOWS = 2

log = structlog.get_logger(__name__)


class Track(Protocol):
    """One line of frames to a reader."""

    @property
    def has_work(self) -> bool:
        """Whether there is something to read or to write."""

    async def work(self) -> None:
        """Do a part of it.

        Raises:
            NotFound: what it reads is no more.
            Unavailable: the database is away.
            ConnectionError: the reader is gone.
        """


class Queue:
    """Frames that wait for one reader, few enough to be kept."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frame: Frame) -> bool:
        """Add a frame; False if it is full. A frame of any size fits into an empty one."""
        size = len(frame.text)
        if self._frames and (len(self._frames) >= MOST_FRAMES or self._bytes + size > MOST_BYTES):
            return False
        self._frames.append(frame)
        self._bytes += size
        return True

    def get(self) -> Frame:
        """Take the oldest frame."""
        frame = self._frames.popleft()
        self._bytes -= len(frame.text)
        return frame

    def clear(self) -> list[Frame]:
        """Take all frames."""
        frames = list(self._frames)
        self._frames.clear()
        self._bytes = 0
        return frames


class Subscriber:
    """One reader.

    Attributes:
        verdict: set to the websocket code to close with, once there is nothing more to write.
    """

    def __init__(self, sink: Sink, measures: LiveMeasures) -> None:
        self.verdict: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sink = sink
        self._measures = measures
        self._tracks: Sequence[Track] = ()
        self._is_resting = False
        self._wake = asyncio.Event()
        self._overflows = 0
        self._writing: asyncio.Task[None] | None = None

    def start(self, tracks: Sequence[Track]) -> None:
        """Write all that the tracks have from now on, the first before the others, until there is a verdict."""
        self._tracks = tracks
        self._writing = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """End the task; to be called when the connection is closed, since a writer that waits holds it up otherwise."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    def write(self, frame: Frame) -> bool:
        """Write at once, if nothing waits and there is room; False where the frame has to wait."""
        return self._is_resting and self._sink.write(frame)

    async def send(self, frame: Frame) -> None:
        """Write, and wait until there is room again.

        Raises:
            ConnectionError: the reader is gone, or is to be closed.
        """
        if self.verdict.done():
            raise ConnectionAbortedError("closing")
        await self._sink.send(frame)

    def wake(self) -> None:
        """Something waits now."""
        self._is_resting = False
        self._wake.set()

    def overflow(self) -> None:
        """It could not take all; the second time before it has caught up is the last."""
        self._measures.overflowed()
        self._overflows += 1
        if self._overflows >= _OVERFLOWS:
            self.end(TOO_SLOW)
        self.wake()

    def end(self, code: int) -> None:
        """Write nothing more, and have the connection closed."""
        if not self.verdict.done():
            self.verdict.set_result(code)
            self.wake()

    async def _write_on(self) -> None:
        try:
            while not self.verdict.done():
                await self._write_next()
        except ConnectionError:
            self.end(LEFT)
        except NotFound:
            self.end(GONE)
        except Exception:
            log.exception("writing to a live reader failed")
            self.end(FAILED)

    async def _write_next(self) -> None:
        track = next((track for track in self._tracks if track.has_work), None)
        if track is None:
            await self._rest()
            return
        try:
            await track.work()
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)

    async def _rest(self) -> None:
        """Nothing waits: frames are written as they come, until one has to wait."""
        self._overflows = 0
        self._wake.clear()
        self._is_resting = True
        try:
            async with asyncio.timeout(self._sink.ping_seconds):
                await self._wake.wait()
        except TimeoutError:
            await self._sink.ping()
        finally:
            self._is_resting = False
