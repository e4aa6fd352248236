"""Quarantine: tests whose failures do not count for a while, by whose word, why, and how each ended."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from orchestrator import ids
from orchestrator.errors import NotFound
from orchestrator.history.estimates import passes_in_a_row
from orchestrator.history.model import Ending, Terms
from storage.current_tests import CURRENT_TESTS
from storage.executions import Row
from storage.postgres import Connection


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """One quarantine with its test.

    Attributes:
        outcomes: of the test's runs since it began, newest first (`orchestrator.history.model.Outcome`).
        ended_at, ending: None while it lasts.
    """

    quarantine_id: str
    test_id: str
    file: str | None
    title: str | None
    owner: str
    reason: str
    exit_streak: int
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ending: Ending | None
    outcomes: str

    @property
    def streak(self) -> int:
        """How many of the latest runs passed in a row."""
        return passes_in_a_row(self.outcomes)


async def put(connection: Connection, tenant_id: int, test_id: str, terms: Terms, now: datetime) -> Quarantine:
    """Put a test into quarantine; one that it is in already gets these terms, and goes on.

    Args:
        connection: a reader's that may write, for this tenant.
        tenant_id: whose.
        test_id: of the test.
        terms: that hold from now on.
        now: the present.

    Raises:
        NotFound: no ended execution has run such a test.
    """
    if not await connection.fetchval("SELECT count(*) FROM known_tests WHERE test_id = $1", test_id):
        raise NotFound(f"No test {test_id}")
    await connection.execute(
        "UPDATE quarantines SET ended_at = expires_at, ending = 'expired'"
        " WHERE test_id = $1 AND ended_at IS NULL AND expires_at <= $2",
        *(test_id, now),
    )
    await connection.execute(
        "INSERT INTO quarantines"
        " (quarantine_id, tenant_id, test_id, owner, reason, exit_streak, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (tenant_id, test_id) WHERE ended_at IS NULL DO UPDATE SET owner = excluded.owner,"
        " reason = excluded.reason, exit_streak = excluded.exit_streak, expires_at = excluded.expires_at",
        *(ids.new_id("qrt", now), tenant_id, test_id),
        *(terms.owner, terms.reason, terms.exit_streak, now, terms.expires_at),
    )
    return await get(connection, test_id, now)


async def remove(connection: Connection, test_id: str, now: datetime) -> Quarantine:
    """End a test's quarantine.

    Raises:
        NotFound: it is in none.
    """
    active = await get(connection, test_id, now)
    await connection.execute(
        "UPDATE quarantines SET ended_at = $2, ending = 'removed' WHERE quarantine_id = $1 AND ended_at IS NULL",
        *(active.quarantine_id, now),
    )
    return msgspec.structs.replace(active, ended_at=now, ending=Ending.REMOVED)


async def get(connection: Connection, test_id: str, now: datetime) -> Quarantine:
    """The quarantine that a test is in.

    Raises:
        NotFound: it is in none.
    """
    active = await of_tests(connection, [test_id], now)
    if test_id not in active:
        raise NotFound(f"{test_id} is not in quarantine")
    return active[test_id]


async def of_tests(connection: Connection, test_ids: Sequence[str], now: datetime) -> dict[str, Quarantine]:
    """The quarantines that these tests are in."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE q.test_id = ANY($2) AND q.ended_at IS NULL AND q.expires_at > $1", now, test_ids
    )
    return {row["test_id"]: _quarantine(row) for row in rows}


async def failures(connection: Connection, execution_id: str) -> int:
    """How many of an execution's failures do not count at present."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM quarantines AS q"  # noqa: S608 - our own words
        f" JOIN (SELECT stable_test_id(t.file, t.title) AS test_id {CURRENT_TESTS} AND t.status = 'failed') AS failed"
        " USING (test_id) WHERE q.ended_at IS NULL AND q.expires_at > now()",
        execution_id,
    )
    return number


class QuarantinePosition(msgspec.Struct, frozen=True):
    """The last quarantine of a page, after which the next page begins."""

    created_at: datetime
    quarantine_id: str


async def page(
    connection: Connection, *, active: bool, now: datetime, after: QuarantinePosition | None, limit: int
) -> tuple[list[Quarantine], QuarantinePosition | None]:
    """Those that last, or those that ended, newest first; and where the next page begins, None after the last."""
    last = (None, None) if after is None else (after.created_at, after.quarantine_id)
    rows = await connection.fetch(
        f"{_SELECT} WHERE (q.ended_at IS NULL AND q.expires_at > $1) = $2"
        " AND ($3::timestamptz IS NULL OR (q.created_at, q.quarantine_id) < ($3, $4))"
        " ORDER BY q.created_at DESC, q.quarantine_id DESC LIMIT $5",
        *(now, active, *last, limit + 1),
    )
    found = [_quarantine(row) for row in rows[:limit]]
    return found, QuarantinePosition(found[-1].created_at, found[-1].quarantine_id) if len(rows) > limit else None


async def end_passed(
    connection: Connection, tenant_id: int, execution_id: str, *, ended_at: datetime, now: datetime
) -> None:
    """End the quarantines of an execution's tests that have passed often enough since they began.

    Args:
        connection: of the owning role, inside the transaction that digested the execution.
        tenant_id: whose execution it is.
        execution_id: of the execution.
        ended_at: when the execution ended.
        now: the present.
    """
    rows = await connection.fetch(
        f"{_SELECT} WHERE q.tenant_id = $2 AND q.ended_at IS NULL AND q.expires_at > $1"
        " AND EXISTS (SELECT FROM test_runs AS r"
        "  WHERE r.execution_id = $3 AND r.ended_at = $4 AND r.test_id = q.test_id)",
        *(now, tenant_id, execution_id, ended_at),
    )
    passed = [one.quarantine_id for one in map(_quarantine, rows) if one.streak >= one.exit_streak]
    await connection.execute(
        "UPDATE quarantines SET ended_at = $2, ending = 'passed' WHERE quarantine_id = ANY($1) AND ended_at IS NULL",
        *(passed, now),
    )


_SELECT = (
    "SELECT q.quarantine_id, q.test_id, k.file, k.title, q.owner, q.reason, q.exit_streak, q.created_at, q.expires_at,"
    " coalesce(q.ended_at, CASE WHEN q.expires_at <= $1 THEN q.expires_at END) AS ended_at,"
    " coalesce(q.ending, CASE WHEN q.expires_at <= $1 THEN 'expired' END) AS ending,"
    # Of the runs remembered, those of executions that ended in its time.
    " coalesce((SELECT string_agg(run.outcome, '' ORDER BY run.number DESC)"
    "  FROM unnest(k.numbers, string_to_array(k.outcomes, NULL)) AS run(number, outcome)"
    "  JOIN digested_executions AS d ON d.number = run.number"
    "  WHERE d.ended_at >= q.created_at AND d.ended_at <= coalesce(q.ended_at, q.expires_at)), '') AS outcomes"
    " FROM quarantines AS q LEFT JOIN known_tests AS k ON k.tenant_id = q.tenant_id AND k.test_id = q.test_id"
)


def _quarantine(row: Row) -> Quarantine:
    return Quarantine(**{**row, "ending": None if row["ending"] is None else Ending(row["ending"])})
