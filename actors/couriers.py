"""What a gateway holds of the couriers: it asks the one that a webhook belongs to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Protocol, TypeVar

import structlog
from ray.exceptions import RayError

from actors.mailbox import partition_of
from orchestrator.errors import NotFound, Unavailable
from orchestrator.webhooks.model import Outcome

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

CALL_SECONDS = 60.0
"""For one call: several times what a test request and those that wait before it usually take. A hung courier answers
nobody, and its callers shall not pile up."""

T = TypeVar("T")


class Courier(Protocol):
    """How a courier is reached; the actor's handle is behind it."""

    async def validate(self, webhook_id: str) -> Outcome | None:
        """As `WebhookCourier.validate`."""

    async def changed(self, webhook_id: str) -> None:
        """As `WebhookCourier.changed`."""

    async def due(self, webhook_ids: Sequence[str]) -> None:
        """As `WebhookCourier.due`."""


class Couriers:
    """All couriers, in order.

    Args:
        couriers: one for each number.
        wait_seconds: how long a restarting courier is waited for.
        clock: monotonic seconds.
    """

    def __init__(
        self, couriers: Sequence[Courier], wait_seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._couriers = couriers
        self._wait_seconds = wait_seconds
        self._clock = clock

    def of(self, webhook_id: str) -> int:
        """The number of the courier that a webhook belongs to; the same in every process."""
        return partition_of(webhook_id, len(self._couriers))

    async def validate(self, webhook_id: str) -> Outcome:
        """Have a test request sent.

        Raises:
            NotFound: there is no such webhook.
            Unavailable: its courier cannot be reached in time.
        """
        courier = self._couriers[self.of(webhook_id)]
        outcome = await self._patiently(lambda: courier.validate(webhook_id))
        if outcome is None:
            raise NotFound(f"No webhook {webhook_id}")
        return outcome

    async def changed(self, webhook_id: str) -> None:
        """See to it that nothing more is sent to a webhook but as it is now.

        Raises:
            Unavailable: its courier cannot be reached in time; the change is stored, and counts once it is.
        """
        courier = self._couriers[self.of(webhook_id)]
        await self._patiently(lambda: courier.changed(webhook_id))

    async def due(self, webhook_id: str) -> None:
        """Have a courier look at once for what is due; one that is away will do so by itself when it is back."""
        try:
            await self._couriers[self.of(webhook_id)].due([webhook_id])
        except RayError as error:
            log.warning("courier is away", courier=self.of(webhook_id), error=type(error).__name__)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call again while the courier is restarting."""
        end, pause = self._clock() + self._wait_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    return await call()
            except TimeoutError as error:
                raise Unavailable("The courier of this webhook does not answer; try again") from error
            except RayError as error:
                if self._clock() + pause > end:
                    raise Unavailable("The courier of this webhook is restarting; try again") from error
                log.warning("courier is away", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
