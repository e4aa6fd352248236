"""What is made ahead of need and forgotten when it is old: months of tests, receipts, deliveries, history, output."""

from datetime import UTC, datetime, timedelta

import structlog

from storage.postgres import Connection

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 3
RECEIPT_DAYS = 7
DELIVERY_DAYS = 30
BATCH_DELIVERIES = 5000
HISTORY_MONTHS = 12
RECORD_DAYS = 90
BATCH_HISTORY = 5000
BATCH_OUTPUT = 500

# Several servers may maintain one database; the number only has to be ours.
_LOCK = 0x544D54


async def maintain(connection: Connection, now: datetime, keep_months: int) -> None:
    """Make the months that will be needed, drop those past keeping, and forget old receipts.

    Args:
        connection: of the owning role.
        now: the present.
        keep_months: whole months of tests before the present one to keep; 0 keeps all. History is kept for
            `HISTORY_MONTHS`.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        # The month before too: a submission may wait in a queue over the turn of the month.
        await _keep_months(connection, "tests", _month(now, -1), now, keep_months)
        undigested = await connection.fetchval(
            "SELECT min(ended_at) FROM executions WHERE ended_at IS NOT NULL AND NOT digested"
        )
        first = max(history_begins(now), _month(min(undigested or now, now), -1))
        await _keep_months(connection, "test_runs", first, now, HISTORY_MONTHS)
        await connection.execute("DELETE FROM receipts WHERE recorded_at < $1", now - timedelta(days=RECEIPT_DAYS))


def history_begins(now: datetime) -> datetime:
    """What ended before is too old for history."""
    return _month(now, -HISTORY_MONTHS)


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


async def forget_history(connection: Connection, now: datetime) -> None:
    """Forget executions and tests that history has no runs of any more, and branches that rest: batch by batch.

    Args:
        connection: of the owning role.
        now: the present.
    """
    for statement, before in (
        (_RESTING_RECORDS, now - timedelta(days=RECORD_DAYS)),
        (_OLD_EXECUTIONS, history_begins(now)),
        (_OLD_TESTS, history_begins(now)),
    ):
        while await connection.execute(statement, before, BATCH_HISTORY) == f"DELETE {BATCH_HISTORY}":
            pass
    await connection.execute(
        "DELETE FROM suite_branches AS b WHERE last_ended_at < $1 AND NOT EXISTS"
        " (SELECT FROM digested_executions AS d WHERE d.suite_branch_id = b.suite_branch_id)",
        history_begins(now),
    )


async def forget_output(connection: Connection, now: datetime, keep_months: int) -> None:
    """Forget the output of managed shards as test rows are forgotten: batch by batch.

    Args:
        connection: of the owning role.
        now: the present.
        keep_months: as in `maintain`.
    """
    while keep_months:
        done = await connection.execute(
            "DELETE FROM job_output WHERE ctid = ANY(ARRAY(SELECT ctid FROM job_output WHERE at < $1 LIMIT $2))",
            *(_month(now, -keep_months), BATCH_OUTPUT),
        )
        if done != f"DELETE {BATCH_OUTPUT}":
            return


_RESTING_RECORDS = (
    "DELETE FROM test_records WHERE (suite_branch_id, test_id) IN ("
    " SELECT r.suite_branch_id, r.test_id FROM suite_branches AS b CROSS JOIN LATERAL ("
    "  SELECT suite_branch_id, test_id FROM test_records AS o"
    "  WHERE o.suite_branch_id = b.suite_branch_id LIMIT $2) AS r"
    " WHERE b.last_ended_at < $1 LIMIT $2)"
)
_OLD_EXECUTIONS = (
    "DELETE FROM digested_executions WHERE execution_id IN ("
    " SELECT d.execution_id FROM suite_branches AS b CROSS JOIN LATERAL ("
    "  SELECT execution_id FROM digested_executions AS o"
    "  WHERE o.suite_branch_id = b.suite_branch_id AND o.ended_at < $1 ORDER BY o.ended_at LIMIT $2) AS d LIMIT $2)"
)
_OLD_TESTS = (
    "DELETE FROM known_tests WHERE (tenant_id, test_id) IN ("
    " SELECT tenant_id, test_id FROM known_tests WHERE last_run_at < $1 LIMIT $2)"
    " AND last_run_at < $1"  # again, for one that was run meanwhile
)


async def months(connection: Connection, table: str = "tests") -> list[str]:
    """The names of a table's months, oldest first, such as `tests_2026_11`."""
    return [
        row["name"]
        for row in await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY name",
            table,
        )
    ]


async def _keep_months(connection: Connection, table: str, first: datetime, now: datetime, keep_months: int) -> None:
    """Have a table's months from the first on, and drop those before the last `keep_months` (0: none)."""
    existing = await months(connection, table)
    month = first
    while month <= _month(now, MONTHS_AHEAD):
        if _name(table, month) not in existing:
            await _make(connection, table, month)
        month = _month(month, 1)
    if keep_months:
        oldest = _name(table, _month(now, -keep_months))
        for name in existing:
            if name < oldest:
                await connection.execute(f"DROP TABLE {name}")
                log.info("month dropped", table=name)


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


async def _make(connection: Connection, table: str, month: datetime) -> None:
    following = _month(month, 1)
    await connection.execute(
        f"CREATE TABLE {_name(table, month)} PARTITION OF {table}"
        f" FOR VALUES FROM ('{month.isoformat()}') TO ('{following.isoformat()}')"
    )


def _month(moment: datetime, offset: int) -> datetime:
    """The first instant of the month so many months away."""
    count = moment.year * 12 + moment.month - 1 + offset
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _name(table: str, month: datetime) -> str:
    return f"{table}_{month:%Y_%m}"
