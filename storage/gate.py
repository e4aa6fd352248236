"""What a gate judges by: an execution's current tests, and the former executions that it is compared with."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from orchestrator.executions import source
from orchestrator.executions.model import Execution, ExecutionStatus, ShardStatus
from orchestrator.history.gate import FORMER_EXECUTIONS, Evidence, NamedTest
from orchestrator.timestamps import milliseconds
from storage import history, plans
from storage.current_tests import CURRENT_TESTS, REPORTED
from storage.postgres import Connection


class Former(msgspec.Struct, frozen=True):
    """An execution that ended before; `duration_ms` is None unless it was completed."""

    execution_id: str
    ended_at: datetime
    duration_ms: int | None


class Baseline(msgspec.Struct, frozen=True):
    """What an execution is compared with: a branch, "" for none, and its latest executions, newest first."""

    branch: str
    executions: list[Former]


async def baseline(connection: Connection, execution: Execution, branch: str | None) -> Baseline:
    """What an execution that ended is compared with.

    That is the main branch, so that what fails on a branch stays new there until it is mended; the execution's own
    branch where no main one has former executions of the suite.

    Args:
        connection: a reader's, for one tenant.
        execution: that is compared.
        branch: with this branch, and no other; None for the above.
    """
    tested = source.of(execution.metadata)
    own = tested.branch or ""
    if branch is not None:
        return Baseline(branch, await _former(connection, execution, branch))
    if own and own not in tested.main_branches:
        for main in tested.main_branches:
            found = await _former(connection, execution, main)
            if found:
                return Baseline(main, found)
    return Baseline(own, await _former(connection, execution, own))


async def _former(connection: Connection, execution: Execution, branch: str) -> list[Former]:
    """The latest executions of the suite on this branch that ended before.

    Cancelled ones are left out, and reruns: with only the tests that had failed, they are no measure for the suite.
    """
    rows = await connection.fetch(
        "SELECT d.execution_id, d.ended_at, e.status, e.started_at"
        " FROM suite_branches AS b JOIN digested_executions AS d USING (suite_branch_id)"
        " JOIN executions AS e ON e.execution_id = d.execution_id"
        " WHERE b.test_suite = $1 AND b.branch = $2 AND d.was_digested AND d.ended_at < $3 AND e.status <> 'cancelled'"
        " AND NOT EXISTS (SELECT FROM plans AS p WHERE p.execution_id = d.execution_id AND p.rerun_of IS NOT NULL)"
        " ORDER BY d.ended_at DESC, d.execution_id DESC LIMIT $4",
        *(execution.test_suite, branch, execution.ended_at, FORMER_EXECUTIONS),
    )
    return [
        Former(
            row["execution_id"],
            row["ended_at"],
            milliseconds(row["ended_at"] - row["started_at"]) if row["status"] == ExecutionStatus.COMPLETED else None,
        )
        for row in rows
    ]


async def evidence(connection: Connection, execution: Execution, compared: Baseline) -> Evidence:
    """What is known of an execution that ended.

    Args:
        connection: a reader's, for one tenant.
        execution: as it stands.
        compared: what it is compared with.
    """
    completed = [one for one in compared.executions if one.duration_ms is not None]
    last = (completed[0].execution_id, completed[0].ended_at) if completed else (None, None)
    [(tests, *named)] = await connection.fetch(_JUDGED, execution.execution_id, *last)
    [listed] = await connection.fetch(_LISTED, execution.execution_id)
    failed, flaky, missing = map(_named.decode, named)
    ids, totals = [test.test_id for test in failed], execution.totals
    return Evidence(
        tests=tests + max(totals.total - listed["total"], 0),
        failed=failed,
        flaky=flaky,
        failed_unlisted=max(totals.failed - listed["failed"], 0),
        flaky_unlisted=max(totals.flaky - listed["flaky"], 0),
        quarantined=frozenset(await history.quarantined(connection, ids)),
        failed_before=await _failed_before(connection, compared.executions, ids),
        missing=None if not completed or await plans.is_rerun(connection, execution.execution_id) else missing,
        incomplete=_incomplete(execution),
        duration_ms=execution.duration_ms,
        former_durations_ms=[one.duration_ms for one in completed if one.duration_ms is not None],
    )


_named = msgspec.json.Decoder(list[NamedTest])


def _names(rows: str) -> str:
    """The tests of these rows, as one JSON text."""
    return (
        "coalesce((SELECT json_agg(json_build_object('file', file, 'title', title, 'testId', test_id))"  # noqa: S608 - our own words
        f" FROM {rows}), '[]')"
    )


# Tests that were reported, and those of the execution `$2`, which ended at `$3`, that were not. NOT IN is looked up in
# a hash table; NOT EXISTS compares each with each where the planner knows nothing of their number yet.
_FAILED, _FLAKY = "reported WHERE outcome = 'f'", "reported WHERE outcome = 'k'"
_MISSING = (
    "test_runs AS r JOIN known_tests AS k USING (test_id) WHERE r.execution_id = $2 AND r.ended_at = $3"
    " AND r.test_id NOT IN (SELECT test_id FROM reported)"
)
_JUDGED = (
    f"WITH reported AS MATERIALIZED ({REPORTED}) SELECT (SELECT count(*) FROM reported),"  # noqa: S608 - our own words
    f" {_names(_FAILED)}, {_names(_FLAKY)}, {_names(_MISSING)}"
)

# What runners count is all that they list, and may be more.
_LISTED = (
    "SELECT count(*) AS total, count(*) FILTER (WHERE t.status = 'failed') AS failed,"
    f" count(*) FILTER (WHERE t.status = 'passed' AND t.retries > 0) AS flaky {CURRENT_TESTS}"
)


async def _failed_before(connection: Connection, former: Sequence[Former], ids: Sequence[str]) -> frozenset[str]:
    rows = await connection.fetch(
        "SELECT DISTINCT r.test_id FROM unnest($1::text[], $2::timestamptz[]) AS former(execution_id, ended_at)"
        " JOIN test_runs AS r USING (execution_id, ended_at) WHERE r.test_id = ANY($3) AND r.status = 'failed'",
        *([one.execution_id for one in former], [one.ended_at for one in former], ids),
    )
    return frozenset(row["test_id"] for row in rows)


def _incomplete(execution: Execution) -> list[str]:
    """Shards that ended without a result of their own, and the plan where its tests were not all reported.

    The execution itself where it broke for another reason.
    """
    parts = [
        f"shard {shard.shard_id}: {shard.status}"
        for shard in execution.shards
        if shard.status not in (ShardStatus.COMPLETED, ShardStatus.FAILED)
    ]
    if execution.deal is not None and execution.missing_tests:
        parts.append(f"plan: {execution.missing_tests} of {execution.deal.planned} tests not reported")
    if not parts and execution.reason_code is not None:
        return [f"execution: {execution.reason_code}"]
    return parts
