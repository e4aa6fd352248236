"""What is made ahead of need and forgotten when it is old: months of test rows, receipts, deliveries of webhooks."""

from datetime import UTC, datetime, timedelta

import structlog

from storage.postgres import Connection

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 3
RECEIPT_DAYS = 7
DELIVERY_DAYS = 30
BATCH_DELIVERIES = 5000

# Several servers may maintain one database; the number only has to be ours.
_LOCK = 0x544D54


async def maintain(connection: Connection, now: datetime, keep_months: int) -> None:
    """Make the months that will be needed, drop those past keeping, and forget old receipts.

    Args:
        connection: of the owning role.
        now: the present.
        keep_months: whole months before the present one to keep; 0 keeps all.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        existing = await months(connection)
        # The month before too: a submission may wait in a queue over the turn of the month.
        for offset in range(-1, MONTHS_AHEAD + 1):
            month = _month(now, offset)
            if _name(month) not in existing:
                await _make(connection, month)
        if keep_months:
            oldest = _name(_month(now, -keep_months))
            for name in existing:
                if name < oldest:
                    await connection.execute(f"DROP TABLE {name}")
                    log.info("month dropped", table=name)
        await connection.execute("DELETE FROM receipts WHERE recorded_at < $1", now - timedelta(days=RECEIPT_DAYS))


async def forget_deliveries(connection: Connection, now: datetime) -> None:
    """End what deleted webhooks still had pending, and delete deliveries and webhooks whose end is `DELIVERY_DAYS` ago.

    There may be very many: each batch is a transaction of its own, so that none holds others up.

    Args:
        connection: of the owning role.
        now: the present.
    """
    for batch in (_end_undeliverable, _delete_ended):
        while await batch(connection, now) == BATCH_DELIVERIES:
            pass
    await connection.execute(
        "DELETE FROM webhooks AS w WHERE deleted_at < $1"
        " AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.webhook_id = w.webhook_id)",
        now - timedelta(days=DELIVERY_DAYS),
    )


async def months(connection: Connection) -> list[str]:
    """The names of the monthly tables, oldest first, such as `tests_2026_11`."""
    return [
        row["name"]
        for row in await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'tests'::regclass ORDER BY name"
        )
    ]


async def _end_undeliverable(connection: Connection, now: datetime) -> int:
    """End a batch of the pending deliveries of deleted webhooks as failed; how many there were."""
    ended: int = await connection.fetchval(
        "WITH ended AS (UPDATE webhook_deliveries SET status = 'failed', due_at = NULL, ended_at = $1,"
        " last_error = 'The webhook was deleted'"
        " WHERE ended_at IS NULL AND delivery_id = ANY(ARRAY("
        "  SELECT d.delivery_id FROM webhooks AS w CROSS JOIN LATERAL ("
        "   SELECT delivery_id FROM webhook_deliveries AS p"
        "   WHERE p.webhook_id = w.webhook_id AND p.status = 'pending' ORDER BY p.due_at, p.ordinal LIMIT $2) AS d"
        "  WHERE w.deleted_at IS NOT NULL LIMIT $2))"
        " RETURNING 1) SELECT count(*) FROM ended",
        now,
        BATCH_DELIVERIES,
    )
    return ended


async def _delete_ended(connection: Connection, now: datetime) -> int:
    """Delete a batch of the deliveries that ended long ago, and what only they needed; how many there were."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        gone = await connection.fetch(
            "DELETE FROM webhook_deliveries WHERE delivery_id = ANY(ARRAY("
            " SELECT delivery_id FROM webhook_deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2))"
            " AND ended_at < $1"  # again, for one that is queued again meanwhile
            " RETURNING delivery_id, message_id",
            now - timedelta(days=DELIVERY_DAYS),
            BATCH_DELIVERIES,
        )
        await connection.execute(
            "DELETE FROM webhook_attempts WHERE delivery_id = ANY($1)", [row["delivery_id"] for row in gone]
        )
        await connection.execute(
            "DELETE FROM webhook_messages AS m WHERE message_id = ANY($1)"
            " AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.message_id = m.message_id)",
            list({row["message_id"] for row in gone}),
        )
    return len(gone)


async def _make(connection: Connection, month: datetime) -> None:
    following = _month(month, 1)
    await connection.execute(
        f"CREATE TABLE {_name(month)} PARTITION OF tests"
        f" FOR VALUES FROM ('{month.isoformat()}') TO ('{following.isoformat()}')"
    )


def _month(moment: datetime, offset: int) -> datetime:
    """The first instant of the month so many months away."""
    count = moment.year * 12 + moment.month - 1 + offset
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _name(month: datetime) -> str:
    return f"tests_{month:%Y_%m}"
