"""The news desk of an owner: tells the bus what was committed, in order, without ever holding up a commit."""

import asyncio
from collections import deque

import structlog

from storage.bus import Bus, BusError, EventNews, News, TestsNews

log = structlog.get_logger(__name__)

BACKLOG = 256
RETRY_SECONDS = 0.5


class NewsDesk:
    """Sends in the background. What the bus could not take is replaced by one `resync`: readers look into the log."""

    def __init__(self, partition: int, redis_url: str) -> None:
        self._partition = partition
        self._redis_url = redis_url
        self._waiting: deque[News] = deque()
        self._arrival = asyncio.Event()
        self._bus: Bus | None = None
        self._is_closed = False

    def announce(self, news: tuple[list[EventNews], list[TestsNews]]) -> None:
        """Send on soon. A backlog that grows too long is dropped for a `resync`."""
        events, tests = news
        if not events and not tests:
            return
        if len(self._waiting) >= BACKLOG:
            self.resync()
            return
        self._waiting.append(News(self._partition, events, tests))
        self._arrival.set()

    def resync(self) -> None:
        """Tell every reader to look into the log for what it missed."""
        self._waiting.clear()
        self._waiting.append(News(self._partition, [], [], resync=True))
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
            news = self._waiting.popleft()
            try:
                await self._bus.publish(news)
            except BusError as error:
                if not is_away:
                    log.warning("bus is away", partition=self._partition, error=str(error))
                is_away = True
                self.resync()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                is_away = False

    async def close(self) -> None:
        """End `run`, and close the connection."""
        # A flag besides cancelling: the client library may take a cancellation for its own time limit and swallow it.
        self._is_closed = True
        self._arrival.set()
        if self._bus is not None:
            await self._bus.close()
