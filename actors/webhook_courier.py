"""The courier of some webhooks: the one process that sends to their endpoints, and records what became of it.

Due rows are read into the lanes of their endpoints (`lanes`), sent (`dispatcher`), and their outcomes written, all that
gathered meanwhile in one transaction (`recorder`). Until then a delivery stays pending in the database, so that a
courier that is killed leaves everything to its successor as it was. Memory is a cache of the rows: after any doubt
about the database it is dropped and read again, but for what was sent and not recorded yet. That waits, and is not sent
again.
"""

import asyncio
import os
import random
import resource
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic

import msgspec
import structlog
from prometheus_client import Metric

from actors.deadlines import Deadlines
from actors.dispatcher import Dispatcher
from actors.endpoint_lane import EndpointLane, Started
from actors.endpoints import Endpoints
from actors.execution_owner import utc_now
from actors.lanes import Lanes
from actors.measures import CourierMeasures
from actors.recorder import Ended, Recorder
from actors.webhook_sender import WebhookSender
from orchestrator import ids
from orchestrator.errors import StaleOwner, Unavailable
from orchestrator.timestamps import to_text
from orchestrator.webhooks import messages, schedule
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import DisabledReason, Outcome
from orchestrator.webhooks.pacing import WINDOW
from orchestrator.webhooks.sealing import Sealer
from storage import deliveries, postgres
from storage.backlog import NO_BACKLOG, backlog
from storage.bus import Bus, BusError
from storage.deliveries import Attempt, Due

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0

LOOK_SECONDS = 1.0
"""Between two looks for rows of which nobody told: the bus may lose what it was given."""

OPEN_FILES = 16_384

REREAD_SECONDS = 30.0
"""Between two looks for changes of webhooks of which nobody told (who made them may have died), and at the backlog."""


class CourierSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about deliveries.

    Attributes:
        secret_key: the server's; the secrets of webhooks are sealed with it.
        policy: where requests may go.
        rate: requests a second to one endpoint, 0 for no limit.
        timeout_seconds: for a request as a whole.
        disable_after_seconds: of failure without a success, after which a webhook is disabled.
    """

    secret_key: bytes
    policy: Policy
    rate: int
    timeout_seconds: float
    disable_after_seconds: float


class WebhookCourier:
    """Delivers to the webhooks of one courier's number; a plain class, made an actor by `actors.cluster`."""

    def __init__(
        self,
        courier: int,
        database_url: str,
        redis_url: str,
        settings: CourierSettings,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._courier = courier
        self._database_url = database_url
        self._redis_url = redis_url
        self._settings = settings
        self._disable_after = timedelta(seconds=settings.disable_after_seconds)
        self._clock = clock
        self._lanes = Lanes()
        self._endpoints = Endpoints(courier, self._lanes, Sealer(settings.secret_key), settings.rate)
        self._strangers: set[str] = set()
        self._retries = Deadlines()
        self._unknown_retries: set[str] = set()
        self._measures = CourierMeasures(courier)
        self._recorder = Recorder(courier, clock, self._settle, self._lose, self._measures)
        self._dispatcher: Dispatcher | None = None
        self._bus: Bus | None = None
        self._epoch: int | None = None
        self._is_wanted = asyncio.Event()
        self._hunger = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._backlog = NO_BACKLOG
        self._counted = {"disabled": 0, "fetches": 0, "claims": 0}

    async def live(self) -> None:
        """Take up work, and stay; the caller learns of this process' end by the call's failure."""
        self._start()
        await asyncio.gather(*self._loops)

    async def status(self) -> dict[str, float]:
        """What it has done and is doing, and proof of life."""
        return {
            **self._counted,
            "failed_commits": self._recorder.failed_commits,
            "epoch": self._epoch or 0,
            "webhooks": len(self._lanes),
            "failing": sum(lane.failing_since is not None for lane in self._lanes),
            "due": self._backlog.due,
            "oldest_due_seconds": self._backlog.oldest_seconds,
            "held_back": sum(lane.is_held_back for lane in self._lanes),
            "waiting": self._lanes.waiting,
            "in_flight": self._lanes.in_flight,
            "unrecorded": len(self._recorder),
            "pid": os.getpid(),
        }

    async def metrics(self) -> list[Metric]:
        """The same and more, for Prometheus."""
        return self._measures.families(await self.status())

    async def due(self, webhook_ids: Collection[str]) -> None:
        """There is something new for these webhooks."""
        self._start()
        self._nudge(webhook_ids)

    async def changed(self, webhook_id: str) -> None:
        """A webhook was changed or deleted: from now on nothing is sent to it but as it is now.

        Requests under way to where the webhook leads no more may end first. One that takes too long is cut off, and
        made again if the webhook is active. All others go on.

        Raises:
            Unavailable: the database is away; nothing is sent to this webhook until it can be read.
        """
        dispatcher = self._start()
        self._endpoints.doubt(webhook_id)
        try:
            async with postgres.connected(self._database_url) as connection:
                lane = self._lanes.get(webhook_id)
                if lane is not None:
                    endpoint = await deliveries.endpoint(connection, webhook_id)
                    if not lane.in_flight or dispatcher.is_sending_otherwise(lane, endpoint):
                        await dispatcher.let_end(lane)
                        await self._recorder.let_settle(lane)
                await self._meet(connection, webhook_id)
        except Unavailable:
            self._strangers.add(webhook_id)
            raise

    async def validate(self, webhook_id: str) -> Outcome | None:
        """Send a test request at once (X-039), also to a webhook that is not active.

        Returns:
            How it ended; None if there is no such webhook.

        Raises:
            Unavailable: the database is away; nothing was sent.
        """
        dispatcher = self._start()
        async with postgres.connected(self._database_url) as connection:
            endpoint = await self._meet(connection, webhook_id)
        if endpoint is None:
            return None
        now = self._clock()
        destination = self._endpoints.destination(endpoint)
        if destination is None:
            return Outcome(at=now, duration_ms=0, error="The secret cannot be read; give the webhook a new one")
        lane = self._lanes.get(webhook_id) or EndpointLane(webhook_id, self._settings.rate)
        body = messages.test(webhook_id, now)
        return await dispatcher.visit(lane, destination, ids.new_id("msg", now), messages.TEST_EVENT, body)

    async def close(self) -> None:
        """Stop at once; what was sent and not recorded is sent again by the next one, as after any crash."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._endpoints.drop_all()
        if self._dispatcher is not None:
            await self._dispatcher.close()
        if self._bus is not None:
            await self._bus.close()

    def _start(self) -> Dispatcher:
        """Be at work, also if another took our place before: the caller reckons with us."""
        self._is_wanted.set()
        if self._dispatcher is None:
            _allow_many_files()
            sender = WebhookSender(self._settings.policy, self._settings.timeout_seconds)
            self._dispatcher = Dispatcher(self._lanes, sender, self._clock, self._conclude, self._hunger.set)
            self._bus = Bus(self._redis_url)
            loops = (self._work(self._dispatcher, self._bus), self._listen(self._bus))
            self._loops = [asyncio.create_task(loop) for loop in loops]
        return self._dispatcher

    async def _work(self, dispatcher: Dispatcher, bus: Bus) -> None:
        """Be the courier for as long as nothing is in doubt, and then anew."""
        while True:
            try:
                await self._serve(dispatcher, bus)
            except* StaleOwner as errors:
                log.warning("courier was replaced", courier=self._courier, error=str(errors.exceptions[0]))
                self._is_wanted.clear()
                self._epoch = None
                self._endpoints.drop_all()
                await dispatcher.cut_off()
                self._recorder.forget()
            except* Unavailable as errors:
                log.warning("waiting for the database", courier=self._courier, error=str(errors.exceptions[0]))
                for lane in self._lanes:
                    self._lanes.forget(lane)
            await asyncio.sleep(RETRY_SECONDS)
            await self._is_wanted.wait()

    async def _serve(self, dispatcher: Dispatcher, bus: Bus) -> None:
        async with self._connected() as reading, self._connected() as writing:
            async with postgres.translated():
                epoch = await deliveries.claim(writing, self._courier)
            self._counted["claims"] += 1
            if self._epoch is None or epoch != self._epoch + 1:
                self._endpoints.rest(until=monotonic() + WINDOW)
            self._epoch = epoch
            self._retries = Deadlines()
            await self._meet_all(reading)
            log.info("courier claimed", courier=self._courier, epoch=epoch, webhooks=len(self._lanes))
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._fetch(reading, epoch, dispatcher))
                loops.create_task(self._recorder.run(writing, epoch, bus))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[postgres.DirectConnection]:
        connection = await postgres.connect(self._database_url)
        try:
            yield connection
        finally:
            connection.terminate()

    async def _listen(self, bus: Bus) -> None:
        """Look at once where the bus tells of something due, for ever."""
        is_away = False
        while True:
            try:
                async for webhook_ids in bus.listen_due(self._courier):
                    is_away = False
                    self._nudge(webhook_ids or ())
            except (*BusError, msgspec.MsgspecError) as error:
                if not is_away:
                    log.warning("bus is away; due rows are looked for", courier=self._courier, error=str(error))
                is_away = True
            await asyncio.sleep(RETRY_SECONDS)

    def _nudge(self, webhook_ids: Collection[str]) -> None:
        for webhook_id in webhook_ids:
            lane = self._lanes.get(webhook_id)
            if lane is None:
                self._strangers.add(webhook_id)
            else:
                self._lanes.nudge(lane)
        self._hunger.set()

    async def _meet_all(self, connection: postgres.Connection) -> None:
        await self._endpoints.read_all(connection)
        async with postgres.translated():
            self._backlog = await backlog(connection, self._courier, self._clock())
        self._unknown_retries.update(lane.webhook_id for lane in self._lanes)
        self._hunger.set()

    async def _meet(self, connection: postgres.Connection, webhook_id: str) -> deliveries.Endpoint | None:
        endpoint = await self._endpoints.read(connection, webhook_id)
        self._strangers.discard(webhook_id)
        if endpoint is not None:
            self._unknown_retries.add(webhook_id)
            self._hunger.set()
        return endpoint

    async def _fetch(self, connection: postgres.DirectConnection, epoch: int, dispatcher: Dispatcher) -> None:
        """Read webhooks that are new, and due rows into all lanes that want some, whenever some do.

        Raises:
            Unavailable: the database is away.
            StaleOwner: there is another courier; it sends these rows.
        """
        look_at, reread_at = monotonic(), monotonic() + REREAD_SECONDS
        while True:
            self._hunger.clear()
            for webhook_id in list(self._strangers):
                await self._meet(connection, webhook_id)
            if monotonic() >= reread_at:
                reread_at = monotonic() + REREAD_SECONDS
                await self._meet_all(connection)
            if monotonic() >= look_at:
                look_at = monotonic() + LOOK_SECONDS
                for lane in self._lanes:
                    self._lanes.nudge(lane)
            now = self._clock()
            for webhook_id in self._retries.pop_due(now):
                self._unknown_retries.add(webhook_id)
                self._nudge([webhook_id])
            if self._lanes.are_hungry:
                async with postgres.translated():
                    await self._fill_lanes(connection, epoch, now)
                dispatcher.run()
            else:
                await self._until_hungry(min(look_at, reread_at))

    async def _until_hungry(self, moment: float) -> None:
        """Wait for news, until the next retry is due, or until this moment."""
        seconds = moment - monotonic()
        retry = self._retries.next()
        if retry is not None:
            seconds = min(seconds, (retry - self._clock()).total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._hunger.wait()

    async def _fill_lanes(self, connection: postgres.DirectConnection, epoch: int, now: datetime) -> None:
        asked = self._lanes.ask()
        held = [delivery_id for lane in asked for delivery_id in lane.held]
        wanted = {lane.webhook_id: each.due for lane, each in asked.items() if each.due}
        due = await deliveries.due(connection, wanted, now, held=held) if wanted else ()
        wanted = {lane.webhook_id: each.retries for lane, each in asked.items() if each.retries}
        retries = await deliveries.due(connection, wanted, now, held=held, retries_only=True) if wanted else ()
        self._counted["fetches"] += 1
        unknown = self._unknown_retries.intersection(lane.webhook_id for lane in asked)
        if unknown:
            self._unknown_retries -= unknown
            for webhook_id, moment in (await deliveries.next_due(connection, list(unknown), now)).items():
                self._retries.bring_forward(webhook_id, moment)
        await deliveries.check_epoch(connection, self._courier, epoch)
        self._lanes.take_in(asked, _by_webhook(due), _by_webhook(retries))

    def _conclude(self, started: Started, outcome: Outcome) -> None:
        """What follows from the end of a request; it is recorded with the next commit."""
        now = self._clock()
        due, endpoint = started.due, started.destination.endpoint
        jitter = random.uniform(-1, 1)  # noqa: S311 - spreads retries, guards nothing
        attempt = Attempt(
            delivery_id=due.delivery_id,
            webhook_id=due.webhook_id,
            tenant_id=endpoint.tenant_id,
            number=due.attempts + 1,
            was_due_at=due.due_at,
            outcome=outcome,
            due_at=schedule.after_outcome(endpoint.retry_policy, due.tries + 1, outcome, now, jitter),
        )
        disabled = self._reason_to_disable(started, outcome, now)
        if disabled is not None:
            self._endpoints.disable(started.lane)
        self._measures.attempted(attempt, is_retry=due.tries > 0)
        self._recorder.add(Ended(started.lane, attempt, disabled))

    def _reason_to_disable(
        self, started: Started, outcome: Outcome, now: datetime
    ) -> tuple[DisabledReason, str] | None:
        lane = started.lane
        if lane.destination is not started.destination:
            return None  # it was changed or disabled meanwhile
        if outcome.is_gone:
            return DisabledReason.GONE, "The endpoint answered 410 Gone"
        if lane.failing_since is not None and now - lane.failing_since >= self._disable_after:
            last = outcome.error or f"status {outcome.status_code}"
            return DisabledReason.FAILING, f"No delivery succeeded since {to_text(lane.failing_since)}; last: {last}"
        return None

    def _settle(self, ended: Ended) -> None:
        """What is recorded need not be known any more, but for when it is due again."""
        webhook_id, due_at = ended.attempt.webhook_id, ended.attempt.due_at
        if due_at is not None:
            self._retries.bring_forward(webhook_id, due_at)
            self._hunger.set()
        if ended.disabled is not None:
            self._endpoints.is_disabled(webhook_id)
            self._counted["disabled"] += 1
            log.info("webhook disabled", webhook_id=webhook_id, reason=ended.disabled[1])

    def _lose(self, ended: Ended) -> None:
        """What cannot be recorded has not disabled its webhook either: that is active again once it is read."""
        if ended.disabled is not None:
            self._endpoints.is_disabled(ended.attempt.webhook_id)
            self._strangers.add(ended.attempt.webhook_id)
            self._hunger.set()


def _allow_many_files() -> None:
    """As many sockets as all lanes may have under way, and as many idle ones: often only 1024 are allowed at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _by_webhook(rows: Sequence[Due]) -> dict[str, list[Due]]:
    lanes: dict[str, list[Due]] = defaultdict(list)
    for row in rows:
        lanes[row.webhook_id].append(row)
    return lanes
