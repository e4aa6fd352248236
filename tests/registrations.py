"""Registered webhooks and deliveries as rows of the store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestrator import ids
from orchestrator.webhooks.model import DeliveryStatus, Filters, Outcome, RetryPolicy, Webhook, WebhookStatus
from storage import deliveries, delivery_log, webhooks
from storage.deliveries import Attempt, DeliveryRow, MessageRow
from storage.delivery_log import Delivery
from storage.postgres import Connection

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVENT = "execution.started"


def webhook(tenant_id: int, **fields: Any) -> Webhook:
    """A webhook with a URL of its own."""
    webhook_id = ids.new_id("wh", NOW)
    plain: dict[str, Any] = {
        "webhook_id": webhook_id,
        "tenant_id": tenant_id,
        "courier": 0,
        "url": f"https://ci.example.com/{webhook_id}",
        "events": (EVENT,),
        "filters": Filters(),
        "retry_policy": RetryPolicy(),
        "status": WebhookStatus.ACTIVE,
        "status_reason": None,
        "created_at": NOW,
        "updated_at": NOW,
        "failing_since": None,
        "last_validated_at": None,
        "former_secret_until": None,
    }
    return Webhook(**plain | fields)


async def registered(connection: Connection, tenant_id: int, **fields: Any) -> Webhook:
    """A webhook in the store."""
    return await webhooks.create(connection, webhook(tenant_id, **fields), b"sealed")


async def told(
    connection: Connection,
    listeners: Sequence[Webhook],
    *,
    at: datetime = NOW,
    event: str = EVENT,
    execution_id: str | None = None,
    status: DeliveryStatus = DeliveryStatus.PENDING,
) -> list[str]:
    """One message for these webhooks; the ids of its deliveries."""
    tenant_id = listeners[0].tenant_id
    body = f'{{"event":"{event}"}}'
    message = MessageRow(ids.new_id("msg", at), tenant_id, event, execution_id, body, at)
    rows = [
        DeliveryRow(
            ids.new_id("dlv", at), tenant_id, one.webhook_id, message.message_id, event, execution_id, status, at
        )
        for one in listeners
    ]
    await deliveries.write(connection, [message], rows)
    return [row.delivery_id for row in rows]


def attempt(
    to: Webhook,
    delivery_id: str,
    number: int = 1,
    *,
    was_due_at: datetime = NOW,
    due_at: datetime | None = None,
    **outcome: Any,
) -> Attempt:
    """An attempt, successful unless its outcome says otherwise."""
    answered: dict[str, Any] = {"at": NOW, "duration_ms": 20, "status_code": 200}
    return Attempt(
        delivery_id=delivery_id,
        webhook_id=to.webhook_id,
        tenant_id=to.tenant_id,
        number=number,
        was_due_at=was_due_at,
        outcome=Outcome(**answered | outcome),
        due_at=due_at,
    )


async def delivery(connection: Connection, delivery_id: str) -> Delivery:
    """A delivery as the log shows it."""
    return (await delivery_log.get(connection, delivery_id)).delivery


async def backlog(connection: Connection, to: Webhook, size: int, status: DeliveryStatus) -> None:
    """So many deliveries, a millisecond between each and the next from `NOW` on, written as fast as can be."""
    await connection.execute(
        "INSERT INTO webhook_messages (message_id, tenant_id, event, body, created_at)"
        " SELECT 'msg_' || $1 || to_char(i, 'FM00000000'), $2, $3, '{}', $4"
        " FROM generate_series(1, $5::int) AS i",
        *(to.webhook_id, to.tenant_id, EVENT, NOW, size),
    )
    await connection.execute(
        "INSERT INTO webhook_deliveries"
        " (delivery_id, tenant_id, webhook_id, message_id, event, status, created_at, due_at, ended_at, attempts)"
        " SELECT 'dlv_' || $1 || number, $2, $1, 'msg_' || $1 || number, $3, $4, at,"
        "  CASE WHEN $4 = 'pending' THEN at END, CASE WHEN $4 <> 'pending' THEN at END,"
        "  CASE WHEN $4 IN ('delivered', 'failed') THEN 1 ELSE 0 END"
        " FROM generate_series(1, $6::int) AS i,"
        "  LATERAL (SELECT to_char(i, 'FM00000000') AS number, $5::timestamptz + i * interval '1 ms' AS at) AS row",
        *(to.webhook_id, to.tenant_id, EVENT, status, NOW, size),
    )


class Read(msgspec.Struct, frozen=True):
    """How many rows statements have looked at, whether they were wanted or not."""

    deliveries: int = 0
    messages: int = 0

    def __sub__(self, before: "Read") -> "Read":
        return Read(self.deliveries - before.deliveries, self.messages - before.messages)


PLANNINGS = 8
"""As often as a prepared statement has to be executed to be sure of its lasting plan."""


async def rows_read(connection: Connection) -> Read:
    """What the running transaction has looked at so far."""
    tables = await connection.fetch(
        "SELECT relname, seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = ANY($1)",
        ["webhook_deliveries", "webhook_messages"],
    )
    return Read(**{table["relname"].removeprefix("webhook_"): table["rows"] for table in tables})
