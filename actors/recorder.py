"""Writes down what became of requests, all that ended meanwhile in one commit.

A commit of a courier that was replaced is refused by the database.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic

import msgspec
import structlog

from actors.endpoint_lane import EndpointLane
from actors.measures import CourierMeasures
from orchestrator.errors import Unavailable
from orchestrator.webhooks.model import DisabledReason
from storage import deliveries, postgres
from storage.bus import Bus, BusError
from storage.deliveries import Attempt

log = structlog.get_logger(__name__)

COMMIT_ATTEMPTS = 1024
SETTLE_SECONDS = 2.0

LOST_SECONDS = 3600.0
"""For which a delivery whose outcome cannot be recorded stays held: it is due still, and would be sent at once."""


class Ended(msgspec.Struct, frozen=True):
    """A request that ended and is to be recorded; with a reason if its webhook is to be disabled."""

    lane: EndpointLane
    attempt: Attempt
    disabled: tuple[DisabledReason, str] | None


class Recorder:
    """Keeps outcomes until they are recorded, whatever becomes of the database meanwhile.

    Args:
        courier: whose epoch is checked.
        clock: the present.
        settled: told of every outcome that was recorded.
        lost: told of every outcome that the database does not take.
        measures: told of every commit.

    Attributes:
        failed_commits: how many there were.
    """

    def __init__(
        self,
        courier: int,
        clock: Callable[[], datetime],
        settled: Callable[[Ended], None],
        lost: Callable[[Ended], None],
        measures: CourierMeasures,
    ) -> None:
        self._courier = courier
        self._clock = clock
        self._settled = settled
        self._lost = lost
        self._measures = measures
        self._ended: list[Ended] = []
        self._arrival = asyncio.Event()
        self._settlement = asyncio.Event()
        self.failed_commits = 0

    def __len__(self) -> int:
        """How many outcomes are not recorded yet."""
        return len(self._ended)

    def add(self, ended: Ended) -> None:
        """Record it with the next commit."""
        self._ended.append(ended)
        self._arrival.set()

    def forget(self) -> None:
        """Drop all: it is for another courier to find out."""
        self._ended.clear()

    async def run(self, connection: postgres.DirectConnection, epoch: int, bus: Bus) -> None:
        """Record outcomes as they come; while a commit is under way, the next ones gather.

        Raises:
            Unavailable: the database is away or fails; what is not certainly recorded is kept.
            StaleOwner: there is another courier.
        """
        while True:
            if not self._ended:
                self._arrival.clear()
                await self._arrival.wait()
            await self._commit(connection, epoch, bus, min(len(self._ended), COMMIT_ATTEMPTS))

    async def let_settle(self, lane: EndpointLane) -> None:
        """Wait until what ended in a lane is recorded, so that its rows are as new as memory; or for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while lane.held:
                    self._settlement.clear()
                    await self._settlement.wait()

    async def _commit(self, connection: postgres.DirectConnection, epoch: int, bus: Bus, count: int) -> None:
        """Record the oldest outcomes. One that the database does not take is found by trying each alone."""
        began = monotonic()
        batch = self._ended[:count]
        try:
            async with postgres.translated(), connection.transaction():
                await deliveries.fence(connection, self._courier, epoch)
                await deliveries.record(connection, [ended.attempt for ended in batch])
                told = await self._disable(connection, batch)
        except postgres.RefusedError:
            self.failed_commits += 1
            if count == 1:
                log.exception("outcome cannot be recorded", delivery_id=batch[0].attempt.delivery_id)
                self._lose(batch[0])
            else:
                for _ in batch:
                    await self._commit(connection, epoch, bus, 1)
            return
        except postgres.DatabaseError as error:
            self.failed_commits += 1
            raise Unavailable(f"The database failed ({type(error).__name__}); try again") from error
        del self._ended[:count]
        self._measures.committed(monotonic() - began)
        for ended in batch:
            ended.lane.recorded(ended.attempt.delivery_id)
            self._settled(ended)
        self._settlement.set()
        await self._tell(bus, told)

    def _lose(self, ended: Ended) -> None:
        """Drop the oldest outcome; its delivery is made again, but not before long."""
        del self._ended[0]
        asyncio.get_running_loop().call_later(LOST_SECONDS, ended.lane.recorded, ended.attempt.delivery_id)
        self._lost(ended)

    async def _disable(self, connection: postgres.DirectConnection, batch: Sequence[Ended]) -> dict[int, set[str]]:
        """Disable webhooks; which couriers have to be told of which others."""
        told: dict[int, set[str]] = defaultdict(set)
        for ended in batch:
            if ended.disabled is not None:
                found = await deliveries.disable(
                    connection, ended.attempt.webhook_id, *ended.disabled, now=self._clock()
                )
                for courier, webhook_ids in found.items():
                    told[courier].update(webhook_ids)
        return told

    async def _tell(self, bus: Bus, couriers: dict[int, set[str]]) -> None:
        if couriers:
            try:
                await bus.publish_due(couriers)
            except BusError as error:
                log.warning("couriers were not told", courier=self._courier, error=str(error))
