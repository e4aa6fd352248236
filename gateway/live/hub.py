"""The hub of a gateway process: one reader of the bus for all live readers, and the looks into the log."""

import asyncio
from contextlib import suppress

import msgspec
import structlog
from aiohttp import web

from gateway.live.measures import LiveMeasures
from gateway.live.replay import Replay
from gateway.live.stream import RETRY_SECONDS
from gateway.live.subscriber import Subscriber
from gateway.live.tenant import Tenant
from orchestrator.errors import Unavailable
from storage.bus import Bus, BusError, News

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks into the log while the bus is there: for what got lost without anybody noticing."""

LOOK_SECONDS_WITHOUT_BUS = 1.0
_SHORTEST_PAUSE = 0.1

GOING_AWAY = 1001
FAREWELL_SECONDS = 6.0


class Hub:
    """Takes news from the bus to those who watch; nothing in it has to outlast the process.

    Attributes:
        subscribers: all readers of this process.
        has_bus: whether the bus is listened to.
        measures: for the metrics.
    """

    def __init__(self, replay: Replay, bus: Bus, measures: LiveMeasures) -> None:
        self.subscribers: set[Subscriber] = set()
        self.has_bus = False
        self.measures = measures
        measures.look_at(lambda: len(self.subscribers), lambda: self.has_bus)
        self._replay = replay
        self._bus = bus
        self._tenants: dict[int, Tenant] = {}
        self._doubt = asyncio.Event()
        self._is_closing = False
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen."""
        self._loops = [asyncio.create_task(work()) for work in (self._listen, self._watch_log)]

    def tenant(self, tenant_id: int) -> Tenant:
        """What the readers of a tenant watch."""
        if tenant_id not in self._tenants:
            self._tenants[tenant_id] = Tenant(self._replay, tenant_id, self._doubt.set)
        return self._tenants[tenant_id]

    def enter(self, subscriber: Subscriber) -> None:
        """A reader came."""
        self.subscribers.add(subscriber)
        self._nobody.clear()
        if self._is_closing:
            subscriber.end(GOING_AWAY)

    def leave(self, subscriber: Subscriber) -> None:
        """A reader left."""
        self.subscribers.discard(subscriber)
        if not self.subscribers:
            self._nobody.set()

    async def send_away(self) -> None:
        """End all readers, and wait a while until they have left."""
        self._is_closing = True
        for subscriber in self.subscribers:
            subscriber.end(GOING_AWAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._nobody.wait()

    async def close(self) -> None:
        """Stop listening."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for tenant in self._tenants.values():
            tenant.close()

    async def _listen(self) -> None:
        """Pass on what the bus tells, for ever."""
        while True:
            try:
                async for news in self._bus.listen():
                    if not self.has_bus:
                        self.has_bus = True
                        log.info("listening to the bus")
                        self._doubt.set()
                    if news is not None:
                        self._tell(news)
            except (*BusError, msgspec.MsgspecError) as error:
                if self.has_bus:
                    log.warning("bus is away; live readers are served from the log", error=str(error))
            except Exception:
                log.exception("news could not be passed on")
            self.has_bus = False
            self._doubt.set()
            await asyncio.sleep(RETRY_SECONDS)

    def _tell(self, news: News) -> None:
        if news.resync:
            self._doubt.set()
        for event in news.events:
            tenant = self._tenants.get(event.tenant_id)
            if tenant is not None:
                tenant.tell(event)
        for tests in news.tests:
            tenant = self._tenants.get(tests.tenant_id)
            if tenant is not None:
                tenant.tell_of_tests(tests)
        self.measures.passed_on(news)

    async def _watch_log(self) -> None:
        """Look into the log whenever something may have been lost, and now and then in any case, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self.has_bus else LOOK_SECONDS_WITHOUT_BUS):
                    await self._doubt.wait()
            self._doubt.clear()
            try:
                await self._look()
            except Unavailable:
                self._doubt.set()
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("the log could not be looked into")
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(_SHORTEST_PAUSE)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for tenant_id, tenant in list(self._tenants.items()):
            await tenant.look()
            tenant.forget_ended(now)
            if tenant.is_idle:
                del self._tenants[tenant_id]


HUB = web.AppKey("live_hub", Hub)
