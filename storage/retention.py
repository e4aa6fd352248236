"""Months of test rows: made ahead of need, dropped whole when they are older than wanted."""

from datetime import UTC, datetime, timedelta

import structlog

from storage.postgres import Connection

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 3
RECEIPT_DAYS = 7

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


async def months(connection: Connection) -> list[str]:
    """The names of the monthly tables, oldest first, such as `tests_2026_11`."""
    return [
        row["name"]
        for row in await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'tests'::regclass ORDER BY name"
        )
    ]


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
