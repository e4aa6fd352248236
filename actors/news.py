"""The news desk of an owner: tells the bus what was committed, in order, without ever holding up a commit."""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping
from time import time

import msgspec
import structlog

from actors.measures import OwnerMeasures
from storage.bus import Bus, BusError, EventNews, News, TestsNews

log = structlog.get_logger(__name__)

BACKLOG = 256
RETRY_SECONDS = 0.5


class Notice(msgspec.Struct, frozen=True):
    """What one commit is to be told of: its news for live readers, and the webhooks to look after."""

    news: News
    due: Mapping[int, Collection[str]]


class NewsDesk:
    """Sends in the background. What the bus could not take is replaced by one `resync`: readers look into the log.

    Couriers find what is due without being told, only later.

    Attributes:
        resyncs: how often readers were told to look into the log.
    """

    def __init__(self, partition: int, redis_url: str, measures: OwnerMeasures) -> None:
        self.resyncs = 0
        self._partition = partition
        self._redis_url = redis_url
        self._measures = measures
        self._waiting: deque[Notice] = deque()
        self._arrival = asyncio.Event()
        self._bus: Bus | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """How many commits the bus was not told of yet."""
        return len(self._waiting)

    def announce(self, events: list[EventNews], tests: list[TestsNews], due: Mapping[int, Collection[str]]) -> None:
        """Send on soon what was committed just now. A backlog that grows too long is dropped for a `resync`."""
        if not events and not tests:
            return
        if len(self._waiting) >= BACKLOG:
            self.resync()
            return
        self._waiting.append(Notice(News(self._partition, events, tests, committed_at=time()), due))
        self._arrival.set()

    def resync(self) -> None:
        """Tell every reader to look into the log for what it missed."""
        self.resyncs += 1
        self._waiting.clear()
        self._waiting.append(Notice(News(self._partition, [], [], resync=True), {}))
        self._arrival.set()

    async def run(self) -> None:
        """Send until closed."""
        self._bus = Bus(self._redis_url)
        is_away = False
        while not self._is_closed:
            if not self._waiting:
                self._arrival.clear()
                await self._arrival.wait()
                continue
            notice = self._waiting.popleft()
            try:
                await self._bus.publish(notice.news)
                if notice.due:
                    await self._bus.publish_due(notice.due)
            except BusError as error:
                if not is_away:
                    log.warning("bus is away", partition=self._partition, error=str(error))
                is_away = True
                self.resync()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                is_away = False
                if notice.news.committed_at is not None:
                    self._measures.announced(time() - notice.news.committed_at)

    async def close(self) -> None:
        """End `run`, and close the connection."""
        # A flag besides cancelling: the client library may take a cancellation for its own time limit and swallow it.
        self._is_closed = True
        self._arrival.set()
        if self._bus is not None:
            await self._bus.close()
