"""The webhooks of a courier: reads them, and keeps its lanes in agreement with how they are."""

from collections import Counter

import structlog

from actors.destination import Destination, destination_of
from actors.endpoint_lane import EndpointLane
from actors.lanes import Lanes
from orchestrator.errors import TMSError
from orchestrator.webhooks.model import WebhookStatus
from orchestrator.webhooks.sealing import Sealer
from storage import deliveries, postgres
from storage.deliveries import Endpoint

log = structlog.get_logger(__name__)


class Endpoints:
    """Opens, closes and drops lanes.

    A webhook may change while it is being read. So whoever tells of a change says so first (`doubt`), and then reads:
    an answer that was under way is not used.
    """

    def __init__(self, courier: int, lanes: Lanes, sealer: Sealer, rate: int) -> None:
        self._courier = courier
        self._lanes = lanes
        self._sealer = sealer
        self._rate = rate
        self._doubts: Counter[str] = Counter()
        self._disabled: set[str] = set()
        self._resting_until = 0.0

    def rest(self, until: float) -> None:
        """Send nothing to any webhook before then, in monotonic seconds: somebody else was its courier just now."""
        self._resting_until = until
        for lane in self._lanes:
            self._rest(lane)

    def drop_all(self) -> None:
        """Send nothing to any webhook until it has been read."""
        self._disabled.clear()
        for lane in list(self._lanes):
            self._lanes.drop(lane)

    def doubt(self, webhook_id: str) -> None:
        """Send nothing to a webhook until it has been read anew."""
        self._doubts[webhook_id] += 1
        lane = self._lanes.get(webhook_id)
        if lane is not None:
            self._lanes.close(lane)

    def disable(self, lane: EndpointLane) -> None:
        """Send nothing more to a webhook, though it is still active in the database."""
        self._disabled.add(lane.webhook_id)
        self._lanes.close(lane)

    def is_disabled(self, webhook_id: str) -> None:
        """The database knows by now what `disable` said."""
        self._disabled.discard(webhook_id)

    async def read_all(self, connection: postgres.Connection) -> None:
        """Read all webhooks.

        Raises:
            Unavailable: the database is away.
        """
        before = self._doubts.copy()
        async with postgres.translated():
            found = {one.webhook_id: one for one in await deliveries.endpoints(connection, self._courier)}
        for webhook_id in {*found, *(lane.webhook_id for lane in self._lanes)}:
            if before[webhook_id] == self._doubts[webhook_id]:
                self._apply(webhook_id, found.get(webhook_id))

    async def read(self, connection: postgres.Connection, webhook_id: str) -> Endpoint | None:
        """Read one webhook; None if there is none with this id.

        Raises:
            Unavailable: the database is away.
        """
        before = self._doubts[webhook_id]
        async with postgres.translated():
            endpoint = await deliveries.endpoint(connection, webhook_id)
        if before == self._doubts[webhook_id]:
            self._apply(webhook_id, endpoint)
        return endpoint

    def destination(self, endpoint: Endpoint) -> Destination | None:
        """Where to send, and how to sign; None if its secret cannot be read, which is for the operator to mend."""
        try:
            return destination_of(endpoint, self._sealer)
        except TMSError as error:
            log.warning("nothing is sent to a webhook", courier=self._courier, reason=error.message)
            return None

    def _apply(self, webhook_id: str, endpoint: Endpoint | None) -> None:
        lane = self._lanes.get(webhook_id)
        if endpoint is None:
            if lane is not None:
                self._lanes.drop(lane)
            return
        if lane is None:
            lane = EndpointLane(webhook_id, self._rate)
            self._rest(lane)
            self._lanes.add(lane)
        is_active = endpoint.status is WebhookStatus.ACTIVE and webhook_id not in self._disabled
        if is_active and lane.destination is not None and lane.destination.endpoint == endpoint:
            return
        destination = self.destination(endpoint) if is_active else None
        if destination is None:
            self._lanes.close(lane)
        else:
            if lane.destination is None and not lane.held:
                # Of a lane at work memory knows more than its row.
                lane.failing_since = endpoint.failing_since
            self._lanes.open(lane, destination)

    def _rest(self, lane: EndpointLane) -> None:
        if self._rate:
            lane.rest(self._resting_until)
