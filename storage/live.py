"""What live readers ask the log: which executions moved on, and single tests in frames."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from orchestrator.executions.decisions import FRAME_TESTS
from orchestrator.executions.model import ExecutionStatus
from storage.executions import Row, TestRecord, test_record
from storage.postgres import Connection

# An execution is created by its owner's clock, and seen some time later, when its commit is through.
_COMMIT_SLACK = timedelta(minutes=1)


class Head(msgspec.Struct, frozen=True):
    """How far an execution has come: its last event, its last frame of tests; and what live readers filter by."""

    execution_id: str
    seq: int
    frames: int
    test_suite: str
    environment: str
    status: ExecutionStatus


async def moved_on(
    connection: Connection, execution_ids: Sequence[str], seqs: Sequence[int], frames: Sequence[int]
) -> list[Head]:
    """Those of these executions that have events after `seqs` or frames of tests after `frames`."""
    rows = await connection.fetch(
        "SELECT e.execution_id, e.seq, e.frames, e.test_suite, e.environment, e.status"
        " FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS known(execution_id, seq, frames)"
        " JOIN executions e USING (execution_id) WHERE e.seq > known.seq OR e.frames > known.frames",
        execution_ids,
        seqs,
        frames,
    )
    return [_head(row) for row in rows]


async def unfinished_or_new(connection: Connection, since: datetime | None) -> tuple[list[Head], datetime]:
    """Executions that still run or were created lately, oldest first.

    Args:
        connection: sees one tenant.
        since: what the last call returned, so that nothing created between the two is missed; None for the first.

    Returns:
        The executions, and the `since` of the next call.
    """
    moment: datetime = await connection.fetchval("SELECT now()")
    rows = await connection.fetch(
        "SELECT execution_id, seq, frames, test_suite, environment, status FROM executions"
        " WHERE status IN ('created', 'running') OR created_at >= $1 ORDER BY created_at, execution_id",
        since or moment - _COMMIT_SLACK,
    )
    return [_head(row) for row in rows], moment - _COMMIT_SLACK


class TestFrame(msgspec.Struct, frozen=True):
    """Some tests of one submission: frame number `number` of its execution. Long errors are cut."""

    number: int
    shard_id: str
    tests: list[TestRecord]


async def test_frames(
    connection: Connection, execution_id: str, *, after: int, limit: int, error_length: int
) -> list[TestFrame]:
    """The frames of tests that follow number `after`, in order; one whose rows were dropped by now has no tests."""
    rows = await connection.fetch(
        "SELECT b.first_frame + part AS frame, b.shard, b.attempt, b.submission_id, t.ordinal, t.title, t.file,"
        " t.status, t.duration_ms, left(t.error, $5) AS error, t.retries, t.tags"
        " FROM submissions b"
        " CROSS JOIN LATERAL generate_series("
        "  greatest(0, $2 - b.first_frame), least((b.tests - 1) / $4, $3 - b.first_frame)) AS part"
        " LEFT JOIN tests t ON t.submission_id = b.submission_id AND t.reported_at = b.reported_at"
        "  AND t.ordinal BETWEEN part * $4 + 1 AND (part + 1) * $4"
        " WHERE b.execution_id = $1 AND b.tests > 0 AND b.first_frame <= $3"
        "  AND b.first_frame + (b.tests - 1) / $4 >= $2"
        " ORDER BY frame, t.ordinal",
        execution_id,
        after + 1,
        after + limit,
        FRAME_TESTS,
        error_length,
    )
    frames: dict[int, TestFrame] = {}
    for row in rows:
        frame = frames.setdefault(row["frame"], TestFrame(row["frame"], str(row["shard"]), []))
        if row["ordinal"] is not None:
            frame.tests.append(test_record(row))
    return list(frames.values())


def _head(row: Row) -> Head:
    return Head(
        row["execution_id"],
        row["seq"],
        row["frames"],
        row["test_suite"],
        row["environment"],
        ExecutionStatus(row["status"]),
    )
