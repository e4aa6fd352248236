"""What the historian writes: the results of executions that ended, as runs of tests and what is remembered of each.

An execution is undigested from its end until its results stand in history, and again when one of them is replaced. Its
digest is one transaction, which may be repeated: what a former one wrote of the execution is taken back first. Several
historians may work at once. Each holds the row of its execution in `digested_executions`; the execution's own row,
which the owner writes, is only touched at the very end.
"""

from datetime import datetime

import msgspec

from orchestrator.history.model import ESTIMATED_FROM, REMEMBERED
from storage import quarantines
from storage.current_tests import REPORTED
from storage.postgres import Connection

REGISTERED_AT_ONCE = 1000

# One historian at a time digests for a tenant; the number only has to be ours.
_LOCK = 0x544D55
# A large execution may take longer than a statement of a request may.
_STATEMENT_TIMEOUT = "10min"


class Undigested(msgspec.Struct, frozen=True):
    """An execution whose results are to be digested; `seq` tells whether it has changed meanwhile."""

    execution_id: str
    tenant_id: int
    number: int
    suite_branch_id: int
    test_suite: str
    ended_at: datetime
    was_digested: bool
    seq: int


async def register(connection: Connection) -> bool:
    """Give executions that ended their numbers, in the order in which they ended. Not inside a transaction.

    Returns:
        Whether there were any.
    """
    # One statement: what ends between two of them would be known to the second alone.
    registered = await connection.execute(
        "WITH ended AS MATERIALIZED"
        " (SELECT execution_id, tenant_id, test_suite, coalesce(branch, '') AS branch, ended_at FROM executions AS e"
        "  WHERE ended_at IS NOT NULL AND NOT digested"
        "  AND NOT EXISTS (SELECT FROM digested_executions AS d WHERE d.execution_id = e.execution_id)"
        "  ORDER BY ended_at, execution_id LIMIT $1),"
        " branches AS (INSERT INTO suite_branches AS b (tenant_id, test_suite, branch, last_ended_at)"
        "  SELECT tenant_id, test_suite, branch, max(ended_at) FROM ended GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        "  ON CONFLICT (tenant_id, test_suite, branch)"
        "  DO UPDATE SET last_ended_at = greatest(b.last_ended_at, excluded.last_ended_at)"
        "  RETURNING tenant_id, test_suite, branch, suite_branch_id)"
        " INSERT INTO digested_executions (execution_id, tenant_id, suite_branch_id, ended_at)"
        " SELECT e.execution_id, e.tenant_id, b.suite_branch_id, e.ended_at FROM ended AS e"
        " JOIN branches AS b USING (tenant_id, test_suite, branch)"
        " ORDER BY e.ended_at, e.execution_id ON CONFLICT DO NOTHING",
        REGISTERED_AT_ONCE,
    )
    return registered != "INSERT 0 0"


async def waiting(connection: Connection, most: int) -> int:
    """How many executions have ended and are not digested, counted up to so many."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM executions WHERE ended_at IS NOT NULL AND NOT digested LIMIT $1) AS e", most
    )
    return number


async def claim(connection: Connection, but_not: list[str]) -> Undigested | None:
    """Hold an undigested execution, the one that ended first, for the running transaction; None if there is none.

    Args:
        connection: inside a transaction.
        but_not: executions to leave alone.
    """
    while True:
        execution_id = await connection.fetchval(
            "SELECT d.execution_id FROM executions AS e JOIN digested_executions AS d USING (execution_id)"
            " WHERE e.ended_at IS NOT NULL AND NOT e.digested AND e.execution_id <> ALL($1)"
            " ORDER BY e.ended_at, e.execution_id LIMIT 1 FOR UPDATE OF d SKIP LOCKED",
            but_not,
        )
        if execution_id is None:
            return None
        # Read once it is held: another historian may just have let go of it, with its work done.
        row = await connection.fetchrow(
            "SELECT d.execution_id, d.tenant_id, d.number, d.suite_branch_id, e.test_suite, d.ended_at,"
            " d.was_digested, e.seq FROM executions AS e JOIN digested_executions AS d USING (execution_id)"
            " WHERE e.execution_id = $1 AND NOT e.digested",
            execution_id,
        )
        if row is not None:
            return Undigested(*row)


async def digest(connection: Connection, execution: Undigested, *, oldest: datetime, now: datetime) -> None:
    """Write an execution's results into history.

    Args:
        connection: inside the transaction that claimed it.
        execution: as it was claimed.
        oldest: what ended before is too old for history, and only marked.
        now: the present.
    """
    if execution.ended_at >= oldest:
        await connection.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
        # Of one tenant one at a time: two would wait for each other's tests.
        await connection.execute("SELECT pg_advisory_xact_lock($1, hashint8($2))", _LOCK, execution.tenant_id)
        if execution.was_digested:
            await _take_back(connection, execution)
        await _write(connection, execution)
        await quarantines.end_passed(
            connection, execution.tenant_id, execution.execution_id, ended_at=execution.ended_at, now=now
        )
    # Not where the owner has committed a change since it was claimed: that is to be digested too.
    await connection.execute(
        "UPDATE executions SET digested = true WHERE execution_id = $1 AND seq = $2",
        *(execution.execution_id, execution.seq),
    )


async def _take_back(connection: Connection, execution: Undigested) -> None:
    """Undo what a former digest of the same execution wrote."""
    which = (execution.execution_id, execution.ended_at, execution.number)
    await connection.execute(
        f"DELETE FROM known_tests WHERE tenant_id = $4 AND {_DIGESTED} AND numbers = ARRAY[$3::bigint]",  # noqa: S608 - our own words
        *(*which, execution.tenant_id),
    )
    await connection.execute(
        "UPDATE known_tests AS o SET"  # noqa: S608 - our own words
        f" (numbers, durations, outcomes, median_ms, p95_ms) = (SELECT {_RUNS}, {_QUANTILES}"
        "  FROM unnest(o.numbers, o.durations, string_to_array(o.outcomes, NULL)) AS run(number, duration, outcome)"
        "  WHERE number <> $3),"
        " last_run_at = coalesce((SELECT ended_at FROM digested_executions"
        "  WHERE number = (array_remove(o.numbers, $3))[1]), last_run_at)"
        f" WHERE tenant_id = $4 AND {_DIGESTED} AND $3 = ANY(numbers)",
        *(*which, execution.tenant_id),
    )
    await connection.execute(
        f"DELETE FROM test_records WHERE suite_branch_id = $4 AND {_DIGESTED} AND numbers = ARRAY[$3::bigint]",  # noqa: S608 - our own words
        *(*which, execution.suite_branch_id),
    )
    await connection.execute(
        f"UPDATE test_records AS o SET (numbers, durations, outcomes) = (SELECT {_RUNS}"  # noqa: S608 - our own words
        "  FROM unnest(o.numbers, o.durations, string_to_array(o.outcomes, NULL)) AS run(number, duration, outcome)"
        "  WHERE number <> $3)"
        f" WHERE suite_branch_id = $4 AND {_DIGESTED} AND $3 = ANY(numbers)",
        *(*which, execution.suite_branch_id),
    )
    await connection.execute(
        "DELETE FROM test_runs WHERE execution_id = $1 AND ended_at = $2", execution.execution_id, execution.ended_at
    )


async def _write(connection: Connection, execution: Undigested) -> None:
    await connection.execute(
        f"WITH reported AS MATERIALIZED ({REPORTED}), runs AS ({_INTO_RUNS}), tests AS ({_INTO_TESTS}) {_INTO_RECORDS}",
        *(execution.execution_id, execution.ended_at, execution.number, execution.tenant_id),
        *(execution.suite_branch_id, execution.test_suite),
    )
    await connection.execute(
        "UPDATE digested_executions SET was_digested = true WHERE execution_id = $1", execution.execution_id
    )


_DIGESTED = "test_id IN (SELECT r.test_id FROM test_runs AS r WHERE r.execution_id = $1 AND r.ended_at = $2)"

# Of runs, each with the number of its execution: the three columns that remember them, and two durations.
_RUNS = (
    "array_agg(number ORDER BY number DESC), array_agg(duration ORDER BY number DESC),"
    " string_agg(outcome, '' ORDER BY number DESC)"
)
_QUANTILES = (
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY duration), percentile_disc(0.95) WITHIN GROUP (ORDER BY duration)"
)

# The runs that a row remembers and the one to be added, as many of the newest as are remembered.
_NEWEST = (
    "(SELECT * FROM unnest(excluded.numbers || o.numbers, excluded.durations || o.durations,"
    " string_to_array(excluded.outcomes || o.outcomes, NULL)) AS run(number, duration, outcome)"
    " ORDER BY number DESC LIMIT {most}) AS newest"
)

_INTO_RUNS = (
    "INSERT INTO test_runs (execution_id, test_id, ended_at, tenant_id, shard, status, duration_ms, retries,"
    "  attempts, error, likeness)"
    " SELECT $1, test_id, $2, $4, shard, status, duration_ms, retries, attempts, error, likeness FROM reported"
)

_INTO_TESTS = (
    "INSERT INTO known_tests AS o (tenant_id, test_id, file, title, suites, first_run_at, last_run_at, numbers,"  # noqa: S608 - our own words
    "  durations, outcomes, median_ms, p95_ms)"
    " SELECT $4, test_id, file, title, ARRAY[$6::text], $2, $2, ARRAY[$3::bigint], ARRAY[duration], outcome, duration,"
    "  duration"
    " FROM reported"
    " ON CONFLICT (tenant_id, test_id) DO UPDATE SET"
    "  suites = CASE WHEN o.suites @> excluded.suites THEN o.suites ELSE o.suites || excluded.suites END,"
    "  first_run_at = least(o.first_run_at, excluded.first_run_at),"
    "  last_run_at = greatest(o.last_run_at, excluded.last_run_at),"
    "  (numbers, durations, outcomes, median_ms, p95_ms) ="
    f"  (SELECT {_RUNS}, {_QUANTILES} FROM {_NEWEST.format(most=REMEMBERED)})"
)

_INTO_RECORDS = (
    "INSERT INTO test_records AS o (suite_branch_id, test_id, tenant_id, numbers, durations, outcomes)"  # noqa: S608 - our own words
    " SELECT $5, test_id, $4, ARRAY[$3::bigint], ARRAY[duration], outcome FROM reported WHERE outcome <> 's'"
    " ON CONFLICT (suite_branch_id, test_id) DO UPDATE SET"
    f"  (numbers, durations, outcomes) = (SELECT {_RUNS} FROM {_NEWEST.format(most=ESTIMATED_FROM)})"
)
