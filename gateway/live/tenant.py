"""What the readers of one tenant watch: single executions, or all of them."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from gateway.live import frames
from gateway.live.channel import Channel
from gateway.live.frames import Frame
from gateway.live.replay import Replay
from gateway.live.stream import UNPLACED
from gateway.live.subscriber import Subscriber
from gateway.live.tracks import FeedTrack
from orchestrator.executions.decisions import frames_of
from orchestrator.executions.model import UNFINISHED, Environment, ExecutionStatus, TestSuite
from storage.bus import EventNews, TestsNews
from storage.live import Head

ENDED_SECONDS = 600.0
"""How long an execution that ended is kept in mind for those who watch all, so that late results come as events."""

_NOT_WANTED = 2**31 - 1


class View(msgspec.Struct, frozen=True):
    """Which executions a reader of all wants to see; None leaves a field open."""

    test_suite: TestSuite | None = None
    environment: Environment | None = None
    status: ExecutionStatus | None = None

    def shows(self, head: Head) -> bool:
        """Whether it is one of them as it stands."""
        return (
            self.test_suite in (None, head.test_suite)
            and self.environment in (None, head.environment)
            and self.status in (None, head.status)
        )


class Tenant:
    """Channels by execution, and views of all executions."""

    def __init__(self, replay: Replay, tenant_id: int, doubt: Callable[[], None]) -> None:
        """Make one.

        Args:
            replay: reads the log.
            tenant_id: whose executions they are.
            doubt: asks for a `look` soon.
        """
        self._replay = replay
        self._tenant_id = tenant_id
        self._doubt = doubt
        self._channels: dict[str, Channel] = {}
        self._views: dict[View, set[FeedTrack]] = {}
        self._followers = 0
        self._beginning: asyncio.Task[None] | None = None
        self._since: datetime | None = None
        self._snapshots_lock = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nobody watches anything."""
        return not self._channels and not self._followers

    async def watch(self, execution_id: str) -> Channel:
        """Come to watch one execution; `leave` afterwards.

        Raises:
            NotFound: this tenant has no such execution.
            Unavailable: the database is away.
        """
        if self._followers and execution_id not in self._channels:
            await self.look()  # if it is new, those who watch all get its events from the first
        channel = self._channel(execution_id)
        channel.readers += 1
        try:
            await channel.find()
        except BaseException:
            self.leave(channel)
            raise
        return channel

    def leave(self, channel: Channel) -> None:
        """Stop watching one execution."""
        channel.readers -= 1
        self._drop_if_unwatched(channel)

    async def follow(self, subscriber: Subscriber, view: View) -> FeedTrack:
        """Come to watch all executions of a view; `unfollow` afterwards.

        Raises:
            Unavailable: the database is away.
        """
        self._followers += 1
        try:
            if self._beginning is None:
                self._beginning = asyncio.create_task(self._begin())
            await asyncio.shield(self._beginning)
        except BaseException:
            self._unfollow()
            raise
        present = [
            channel.execution_id
            for channel in self._channels.values()
            if channel.head is not None and channel.head.status in UNFINISHED and view.shows(channel.head)
        ]
        track = FeedTrack(subscriber, self, view.status, present)
        self._views.setdefault(view, set()).add(track)
        return track

    def unfollow(self, track: FeedTrack) -> None:
        """Stop watching all executions."""
        for view, tracks in list(self._views.items()):
            tracks.discard(track)
            if not tracks:
                del self._views[view]
        self._unfollow()

    def tell(self, news: EventNews) -> None:
        """Take an event from the bus."""
        channel = self._channels.get(news.execution_id)
        if channel is None:
            if not self._followers:
                return
            channel = self._channel(news.execution_id)
            is_first = news.seq == 1
            head = Head(
                news.execution_id,
                news.seq - 1,
                0 if is_first else UNPLACED,
                news.test_suite,
                news.environment,
                ExecutionStatus(news.status),
            )
            channel.place(head)
        if channel.tests.is_followed and channel.events.head + 1 < news.seq:
            self._doubt()  # with an event, news of tests may have been lost
        channel.events.tell(frames.of_news(news))

    def tell_of_tests(self, news: TestsNews) -> None:
        """Take news of single tests from the bus."""
        channel = self._channels.get(news.execution_id)
        if channel is not None:
            channel.tests.hear_of(news.first_frame + frames_of(news.tests) - 1)

    async def look(self) -> None:
        """Look into the log for what the bus may have lost.

        Raises:
            Unavailable: the database is away.
        """
        known = {
            channel.execution_id: (
                channel.events.head,
                channel.tests.head if channel.tests.is_followed else _NOT_WANTED,
            )
            for channel in self._channels.values()
            if channel.events.has_begun
        }
        if known:
            for head in await self._replay.moved_on(self._tenant_id, known):
                if head.execution_id in self._channels:
                    self._channels[head.execution_id].hear_of(head)
        if self._followers and self._since is not None:
            heads, self._since = await self._replay.unfinished_or_new(self._tenant_id, self._since)
            for head in heads:
                channel = self._channel(head.execution_id)
                channel.place(msgspec.structs.replace(head, seq=0, frames=0))
                channel.hear_of(head)

    def forget_ended(self, now: float) -> None:
        """Drop executions that ended some time ago and that nobody watches alone."""
        for channel in list(self._channels.values()):
            if not channel.readers and channel.ended_at is not None and now - channel.ended_at > ENDED_SECONDS:
                self._drop(channel)

    def observe(self, channel: Channel, frame: Frame) -> None:
        """Pass an event on to those who watch all executions."""
        if channel.head is None:
            return
        is_continued = channel.is_met or frame.number == 1
        channel.is_met = True
        for view, tracks in self._views.items():
            if view.shows(channel.head):
                for track in tracks:
                    if is_continued:
                        track.offer(frame)
                    else:
                        track.miss(channel.execution_id)

    async def snapshots(self, execution_ids: list[str]) -> list[Frame]:
        """These executions as they stand, each read only if it moved on since it was read last; one page at a time.

        Raises:
            Unavailable: the database is away.
        """
        async with self._snapshots_lock:
            found: dict[str, Frame] = {}
            for execution_id in execution_ids:
                channel = self._channels.get(execution_id)
                latest = None if channel is None else channel.cached(channel.events.head)
                if latest is not None:
                    found[execution_id] = latest
            wanted = [execution_id for execution_id in execution_ids if execution_id not in found]
            if wanted:
                for execution_id, snapshot in (await self._replay.snapshots(self._tenant_id, wanted)).items():
                    found[execution_id] = snapshot.frame
                    if execution_id in self._channels:
                        self._channels[execution_id].keep(snapshot)
        return [found[execution_id] for execution_id in execution_ids if execution_id in found]

    def close(self) -> None:
        """Stop reading."""
        if self._beginning is not None:
            self._beginning.cancel()
        for channel in self._channels.values():
            channel.close()

    async def _begin(self) -> None:
        """Learn of all executions there are, so that gaps in what comes later are seen."""
        try:
            heads, self._since = await self._replay.unfinished_or_new(self._tenant_id, None)
        except Exception:
            self._beginning = None
            raise
        for head in heads:
            channel = self._channel(head.execution_id)
            channel.place(head)
            channel.is_met = True

    def _unfollow(self) -> None:
        self._followers -= 1
        if not self._followers:
            if self._beginning is not None:
                self._beginning.cancel()
            self._beginning = self._since = None
            for channel in list(self._channels.values()):
                channel.is_met = False
                self._drop_if_unwatched(channel)

    def _channel(self, execution_id: str) -> Channel:
        channel = self._channels.get(execution_id)
        if channel is None:
            channel = self._channels[execution_id] = Channel(self._replay, self._tenant_id, execution_id, self)
        return channel

    def _drop_if_unwatched(self, channel: Channel) -> None:
        """One that was never found has nothing for those who watch all either."""
        if not channel.readers and not (self._followers and channel.events.has_begun):
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        channel.close()
        if self._channels.get(channel.execution_id) is channel:
            del self._channels[channel.execution_id]
