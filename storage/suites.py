"""Suites over time: each with its branches, and their latest executions."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import select, tuple_

from orchestrator.executions.model import ExecutionStatus, TestSuite, Totals
from orchestrator.timestamps import milliseconds
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection


class SuitePoint(msgspec.Struct, frozen=True):
    """One execution that ended. `duration_ms` is None if it never started."""

    execution_id: str
    ended_at: datetime
    status: ExecutionStatus
    duration_ms: int | None
    totals: Totals


class SuiteBranch(msgspec.Struct, frozen=True):
    """A suite on a branch, "" where none was told, with its latest executions, newest first."""

    test_suite: TestSuite
    branch: str
    last_ended_at: datetime
    points: list[SuitePoint]


class SuitePosition(msgspec.Struct, frozen=True):
    """The last suite and branch of a page, after which the next page begins."""

    last_ended_at: datetime
    suite_branch_id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


async def page(
    connection: Connection,
    *,
    test_suite: TestSuite | None,
    branch: str | None,
    points: int,
    after: SuitePosition | None,
    limit: int,
) -> tuple[list[SuiteBranch], SuitePosition | None]:
    """Suites and branches, the one that ran last first; and where the next page begins, None after the last.

    Args:
        connection: a reader's, for one tenant.
        test_suite: only this; None for all.
        branch: only this, "" for executions without one; None for all.
        points: most executions of each.
        after: where the page before ended.
        limit: most of them.
    """
    table = schema.suite_branches.c
    query = select(schema.suite_branches).order_by(table.last_ended_at.desc(), table.suite_branch_id.desc())
    if test_suite is not None:
        query = query.where(table.test_suite == test_suite)
    if branch is not None:
        query = query.where(table.branch == branch)
    if after is not None:
        place = (after.last_ended_at, after.suite_branch_id)
        query = query.where(tuple_(table.last_ended_at, table.suite_branch_id) < place)
    rows = await fetch(connection, query.limit(limit + 1))
    found = {row["suite_branch_id"]: _suite_branch(row) for row in rows[:limit]}
    for row in await connection.fetch(_POINTS, list(found), points):
        found[row["suite_branch_id"]].points.append(_point(row))
    listed = list(found.values())
    if len(rows) <= limit:
        return listed, None
    return listed, SuitePosition(listed[-1].last_ended_at, rows[limit - 1]["suite_branch_id"])


_POINTS = (
    "SELECT p.* FROM unnest($1::bigint[]) AS wanted(suite_branch_id) CROSS JOIN LATERAL ("
    " SELECT d.suite_branch_id, d.ended_at, e.execution_id, e.status, e.started_at,"
    "  e.total, e.passed, e.failed, e.skipped, e.flaky"
    " FROM digested_executions AS d JOIN executions AS e USING (execution_id)"
    " WHERE d.suite_branch_id = wanted.suite_branch_id AND d.was_digested"
    " ORDER BY d.ended_at DESC, d.execution_id DESC LIMIT $2) AS p"
    " ORDER BY p.suite_branch_id, p.ended_at DESC, p.execution_id DESC"
)


def _suite_branch(row: Row) -> SuiteBranch:
    return SuiteBranch(TestSuite(row["test_suite"]), row["branch"], row["last_ended_at"], [])


def _point(row: Row) -> SuitePoint:
    started_at = row["started_at"]
    return SuitePoint(
        execution_id=row["execution_id"],
        ended_at=row["ended_at"],
        status=ExecutionStatus(row["status"]),
        duration_ms=None if started_at is None else milliseconds(row["ended_at"] - started_at),
        totals=Totals(row["total"], row["passed"], row["failed"], row["skipped"], row["flaky"]),
    )
