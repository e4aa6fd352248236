"""What a commit leaves for the couriers: a message for each event that is told, a delivery for each webhook.

The rows are written in the transaction of the change: what was not committed is not delivered, and what was committed
is not forgotten.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from orchestrator import ids
from orchestrator.timestamps import to_text
from orchestrator.webhooks import messages
from orchestrator.webhooks.model import Subscription, WebhookStatus
from storage import deliveries
from storage.deliveries import DeliveryRow, MessageRow
from storage.postgres import Connection


class Outbox:
    """The messages and deliveries of one transaction.

    Attributes:
        due: courier to the webhooks that it has something new for.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._messages: list[MessageRow] = []
        self._deliveries: list[DeliveryRow] = []
        self.due: dict[int, set[str]] = defaultdict(set)

    def put(
        self, webhooks: Sequence[Subscription], execution_id: str, event: str, at: datetime, data_text: str
    ) -> None:
        """Tell these webhooks of an event, each in the order in which events are put.

        Args:
            webhooks: all of one tenant; one that is not active has the delivery noted as missed.
            execution_id: whose event it is.
            event: its name.
            at: its time.
            data_text: its `data` as JSON text.
        """
        if not webhooks:
            return
        body = messages.body(event, execution_id, to_text(at), data_text)
        tenant_id = webhooks[0].tenant_id
        message = MessageRow(ids.new_id("msg", self._now), tenant_id, event, execution_id, body, self._now)
        self._messages.append(message)
        self._deliveries += deliveries.addressed(message, webhooks)
        for webhook in webhooks:
            if webhook.status is WebhookStatus.ACTIVE:
                self.due[webhook.courier].add(webhook.webhook_id)

    async def write(self, connection: Connection) -> None:
        """Write the rows, if there are any."""
        if self._messages:
            await deliveries.write(connection, self._messages, self._deliveries)
