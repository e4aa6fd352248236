"""The log of deliveries: what became of each, and how what did not arrive is sent again."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import literal, select, tuple_

from orchestrator.errors import NotFound
from orchestrator.webhooks.model import DeliveryStatus
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery as the log shows it.

    Attributes:
        attempts: all of them.
        tries: those since it was last queued.
        due_at: of the next attempt; None unless it is pending.
        last_status_code: of the last attempt's answer; None if there was none.
    """

    delivery_id: str
    ordinal: int
    webhook_id: str
    message_id: str
    event: str
    execution_id: str | None
    status: DeliveryStatus
    attempts: int
    tries: int
    due_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    last_status_code: int | None
    last_error: str | None


_LOG_COLUMNS = Delivery.__struct_fields__


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to list: of a webhook, of an execution, or of both; None leaves a field open.

    Attributes:
        since: created then or later.
        until: created earlier than that.
    """

    webhook_id: str | None = None
    execution_id: str | None = None
    status: DeliveryStatus | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class DeliveryPosition(msgspec.Struct, frozen=True):
    """The last delivery of a page, after which the next page begins."""

    created_at: datetime
    ordinal: Annotated[int, Meta(ge=0, le=2**63 - 1)]


async def page(
    connection: Connection, wanted: DeliveryFilter, *, after: DeliveryPosition | None, limit: int
) -> tuple[list[Delivery], DeliveryPosition | None]:
    """Deliveries, newest first; and where the next page begins, None after the last."""
    table = schema.webhook_deliveries.c
    query = (
        select(*(table[name] for name in _LOG_COLUMNS))
        .order_by(table.created_at.desc(), table.ordinal.desc())
        .limit(limit + 1)
    )
    conditions = {
        table.webhook_id: wanted.webhook_id,
        table.execution_id: wanted.execution_id,
        table.event: wanted.event,
    }
    for column, value in conditions.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.status is not None:
        # Spelt out, so that the index of the deliveries that did not arrive is found whatever plan is kept.
        query = query.where(table.status == literal(str(wanted.status), literal_execute=True))
    if wanted.since is not None:
        query = query.where(table.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.created_at < wanted.until)
    if after is not None:
        query = query.where(tuple_(table.created_at, table.ordinal) < (after.created_at, after.ordinal))
    deliveries = [_delivery(row) for row in await fetch(connection, query)]
    if len(deliveries) <= limit:
        return deliveries, None
    last = deliveries[limit - 1]
    return deliveries[:limit], DeliveryPosition(last.created_at, last.ordinal)


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt as the log keeps it."""

    number: int
    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    reply: str


class DeliveryDetails(msgspec.Struct, frozen=True):
    """One delivery with the body that is sent and its attempts, first to last."""

    delivery: Delivery
    body: str
    attempts: list[AttemptRecord]


async def get(connection: Connection, delivery_id: str) -> DeliveryDetails:
    """One delivery of this connection's tenant.

    Raises:
        NotFound: there is none with this id.
    """
    row = await connection.fetchrow(
        f"SELECT {', '.join(f'd.{name}' for name in _LOG_COLUMNS)}, m.body"  # noqa: S608 - our own columns
        " FROM webhook_deliveries AS d JOIN webhook_messages AS m USING (message_id) WHERE d.delivery_id = $1",
        delivery_id,
    )
    if row is None:
        raise NotFound(f"No delivery {delivery_id}")
    attempts = await connection.fetch(
        "SELECT number, at, duration_ms, status_code, error, reply FROM webhook_attempts"
        " WHERE delivery_id = $1 ORDER BY number",
        delivery_id,
    )
    return DeliveryDetails(_delivery(row), row["body"], [AttemptRecord(*attempt) for attempt in attempts])


async def requeue(connection: Connection, delivery_id: str, now: datetime) -> Delivery:
    """Have a delivery sent again, whatever became of it: the same message, and all its tries anew.

    While its webhook is not active it stays pending.

    Raises:
        NotFound: there is none with this id, or its webhook was deleted.
    """
    row = await connection.fetchrow(
        "UPDATE webhook_deliveries AS d SET status = 'pending', tries = 0, due_at = $2, ended_at = NULL"  # noqa: S608 - our own columns
        " FROM webhooks AS w WHERE d.delivery_id = $1 AND w.webhook_id = d.webhook_id AND w.deleted_at IS NULL"
        f" RETURNING {', '.join(f'd.{name}' for name in _LOG_COLUMNS)}",
        delivery_id,
        now,
    )
    if row is None:
        raise NotFound(f"No delivery {delivery_id}, or its webhook was deleted")
    return _delivery(row)


RECOVERED_AT_ONCE = 10_000


async def recover(
    connection: Connection, webhook_id: str, *, since: datetime, now: datetime, limit: int = RECOVERED_AT_ONCE
) -> int:
    """Have what a webhook did not get sent again: all deliveries created since then that failed or were missed.

    They are due at once, in the order in which they were created. One that fails again after `now` is left alone, so
    that calls with the same arguments come to an end.

    Args:
        connection: a reader's that may write.
        webhook_id: whose.
        since: created then or later.
        now: the present; for calls that go on, that of the first.
        limit: most deliveries of this call, oldest first.

    Returns:
        How many; if it is `limit`, there may be more, for another call.
    """
    recovered: int = await connection.fetchval(
        "WITH recovered AS (UPDATE webhook_deliveries SET status = 'pending', tries = 0, due_at = $3, ended_at = NULL"
        " WHERE status <> 'pending' AND delivery_id = ANY(ARRAY("
        "  SELECT delivery_id FROM webhook_deliveries"
        "  WHERE webhook_id = $1 AND status IN ('failed', 'missed') AND created_at >= $2 AND ended_at <= $3"
        "  ORDER BY created_at, ordinal LIMIT $4))"
        " RETURNING 1) SELECT count(*) FROM recovered",
        *(webhook_id, since, now, limit),
    )
    return recovered


def _delivery(row: Row) -> Delivery:
    return Delivery(**{**{name: row[name] for name in _LOG_COLUMNS}, "status": DeliveryStatus(row["status"])})
