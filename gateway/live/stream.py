"""Frames of one execution put in order: each number once, whatever the bus lost, repeated or mixed up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from gateway.live.frames import Frame
from orchestrator.errors import Unavailable

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.5
"""Between two tries to read from a database that is away."""

UNPLACED = -1

Read = Callable[[int], Awaitable[list[Frame]]]


class Member(Protocol):
    """Who gets the frames."""

    def offer(self, frame: Frame) -> None:
        """Take the next frame; may neither wait nor raise."""


class Stream:
    """Passes frames on to its members in the order of their numbers; reads missing ones from the log.

    News and the log may tell of the same frame in any order: a number that was passed on is never passed on again,
    and none is passed on before the one below it. What the log has was committed before the news of it, so the highest
    number heard of can always be read.

    Attributes:
        head: number of the last frame passed on, below zero until `begin` says where to start.
        read: reads the frames that follow a number, in order, as many as are convenient.
    """

    def __init__(self, read: Read, watcher: Callable[[Frame], None] | None = None) -> None:
        """Make one that does not know its place yet.

        Args:
            read: see above.
            watcher: gets every frame before the members do; with it the stream goes on when it has no members.
        """
        self.read = read
        self.head = UNPLACED
        self._watcher = watcher
        self._members: set[Member] = set()
        self._highest = 0
        self._mending: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it knows its place."""
        return self.head != UNPLACED

    @property
    def is_followed(self) -> bool:
        """Whether anybody wants the frames."""
        return self._watcher is not None or bool(self._members)

    def begin(self, number: int) -> None:
        """Start after this number, unless it has begun already; below zero says that the place is not known."""
        if not self.has_begun:
            self.head = number
            self._mend_if_behind()

    def join(self, member: Member) -> None:
        """Pass all later frames on to this member too."""
        if self.has_begun and not self.is_followed:
            self.head = max(self.head, self._highest)  # what nobody waited for need not be passed on
        self._members.add(member)
        self._mend_if_behind()

    def leave(self, member: Member) -> None:
        """Pass nothing on to this member any more."""
        self._members.discard(member)

    def tell(self, frame: Frame) -> None:
        """Take a frame from the bus."""
        if self._mending is None and self.has_begun and frame.number == self.head + 1:
            self._pass_on(frame)
        else:
            self.hear_of(frame.number)

    def hear_of(self, number: int) -> None:
        """Learn that the log has frames up to this number."""
        self._highest = max(self._highest, number)
        self._mend_if_behind()

    def close(self) -> None:
        """Stop reading."""
        if self._mending is not None:
            self._mending.cancel()

    def _pass_on(self, frame: Frame) -> None:
        self.head = frame.number
        if self._watcher is not None:
            self._watcher(frame)
        for member in self._members:
            member.offer(frame)

    @property
    def _is_behind(self) -> bool:
        return self.has_begun and self.head < self._highest and self.is_followed

    def _mend_if_behind(self) -> None:
        if self._mending is None and self._is_behind:
            self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Read what is missing and pass it on, until everything that was heard of is through."""
        try:
            while self._is_behind:
                await self._read_on()
        finally:
            self._mending = None

    async def _read_on(self) -> None:
        try:
            frames = await self.read(self.head)
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            log.exception("the log could not be read", head=self.head)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if not frames:
                # A log that only grows cannot cause it; a database that was set back can.
                log.error("the log ends before what was heard of it", head=self.head, heard_of=self._highest)
                self._highest = self.head
            for frame in frames:
                if frame.number > self.head:
                    self._pass_on(frame)
