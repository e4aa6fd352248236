"""Tests as history knows them: lists of them, one of them, and its runs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import (
    REAL,
    ColumnElement,
    Double,
    Select,
    Text,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from orchestrator.errors import NotFound
from orchestrator.executions.model import Attempt, TestStatus, TestSuite
from orchestrator.history.model import Outcome
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection


class KnownTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test over all suites, branches and shards.

    Attributes:
        outcomes: of its latest runs, `REMEMBERED` at most, newest first (`orchestrator.history.model.Outcome`).
        durations: of the same runs, in milliseconds, None where unknown.
        median_ms, p95_ms: of these durations.
        failure_rate, flake_rate: of the latest runs that were not skipped, from 0 to 1.
        is_quarantined: at present.
    """

    test_id: str
    file: str | None
    title: str
    suites: tuple[TestSuite, ...]
    first_run_at: datetime
    last_run_at: datetime
    outcomes: str
    durations: tuple[float | None, ...]
    median_ms: float | None
    p95_ms: float | None
    failure_rate: float
    flake_rate: float
    is_quarantined: bool

    @property
    def last_status(self) -> TestStatus:
        """How the newest run ended."""
        return _STATUSES[Outcome(self.outcomes[0])]


_STATUSES = {
    Outcome.PASSED: TestStatus.PASSED,
    Outcome.FLAKY: TestStatus.PASSED,
    Outcome.FAILED: TestStatus.FAILED,
    Outcome.SKIPPED: TestStatus.SKIPPED,
}


class TestOrder(StrEnum):
    """What tests are listed by: highest, longest or latest first, names in their order."""

    FAILURE_RATE = "failureRate"
    FLAKE_RATE = "flakeRate"
    DURATION = "duration"
    LAST_RUN = "lastRun"
    NAME = "name"


class KnownTestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests to list; None leaves a field open.

    Attributes:
        branch: only those that the suite has run there lately, with the numbers of these runs; "" for executions
            without one. Needs a `test_suite`.
        search: a part of the title or the file, in any case.
        status: of the newest run.
        is_flaky: whether any of the latest runs passed on retry.
    """

    test_id: str | None = None
    search: str | None = None
    file: str | None = None
    test_suite: TestSuite | None = None
    branch: str | None = None
    status: TestStatus | None = None
    is_flaky: bool | None = None
    is_quarantined: bool | None = None


class KnownTestPosition(msgspec.Struct, frozen=True):
    """The last test of a page: what its list is ordered by, and its place there."""

    order: TestOrder
    key: Annotated[float, Meta(ge=-1, le=1e15)] | str
    test_id: str


_QUARANTINE = schema.quarantines.c
_NAME_LENGTH = 120

Columns = ReadOnlyColumnCollection[str, Any]

# The same columns from what is remembered of a suite and branch, where skipped runs are left out.
_ON_BRANCH = text(
    "SELECT k.tenant_id, k.test_id, k.file, k.title, k.suites, k.first_run_at, k.last_run_at,"
    "  r.numbers, r.durations, r.outcomes, q.median_ms, q.p95_ms,"
    "  cast(length(r.outcomes) - length(replace(r.outcomes, 'f', '')) AS real) / length(r.outcomes) AS failure_rate,"
    "  cast(length(r.outcomes) - length(replace(r.outcomes, 'k', '')) AS real) / length(r.outcomes) AS flake_rate"
    " FROM suite_branches AS b JOIN test_records AS r USING (suite_branch_id)"
    " JOIN known_tests AS k ON k.tenant_id = r.tenant_id AND k.test_id = r.test_id"
    " CROSS JOIN LATERAL (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY duration) AS median_ms,"
    "  percentile_disc(0.95) WITHIN GROUP (ORDER BY duration) AS p95_ms FROM unnest(r.durations) AS duration) AS q"
    " WHERE b.test_suite = :test_suite AND b.branch = :branch"
)


def _columns(wanted: KnownTestFilter) -> Columns:
    if wanted.branch is None:
        return schema.known_tests.c
    bound = _ON_BRANCH.bindparams(test_suite=wanted.test_suite, branch=wanted.branch)
    return bound.columns(*schema.known_tests.c).subquery("known_tests").c


def _key(order: TestOrder, table: Columns) -> ColumnElement[Any]:
    """What a list is ordered by, as the store compares it; names need not be compared to their end."""
    keys: dict[TestOrder, ColumnElement[Any]] = {
        TestOrder.FAILURE_RATE: table.failure_rate,
        TestOrder.FLAKE_RATE: table.flake_rate,
        TestOrder.DURATION: func.coalesce(table.median_ms, cast(-1, REAL)),
        TestOrder.LAST_RUN: cast(func.extract("epoch", table.last_run_at), Double),
        TestOrder.NAME: func.left(func.concat_ws(" ", table.file, table.title), _NAME_LENGTH, type_=Text),
    }
    return keys[order]


async def page(
    connection: Connection,
    wanted: KnownTestFilter,
    order: TestOrder,
    *,
    after: KnownTestPosition | None,
    limit: int,
) -> tuple[list[KnownTest], KnownTestPosition | None]:
    """Tests in this order; and where the next page begins, None after the last.

    A test whose numbers change while pages are read may come twice or not at all.
    """
    table = _columns(wanted)
    key = _key(order, table)
    place = tuple_(key, table.test_id)
    query = _where(_selected(table, key.label("key")), table, wanted)
    if order is TestOrder.NAME:
        query = query.order_by(key, table.test_id)
        query = query if after is None else query.where(place > (after.key, after.test_id))
    else:
        query = query.order_by(key.desc(), table.test_id.desc())
        query = query if after is None else query.where(place < (after.key, after.test_id))
    rows = await fetch(connection, query.limit(limit + 1))
    found = [_known_test(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    return found, KnownTestPosition(order, rows[limit - 1]["key"], found[-1].test_id)


async def get(connection: Connection, test_id: str) -> KnownTest:
    """One test.

    Raises:
        NotFound: no ended execution has run it, or long ago.
    """
    table = schema.known_tests.c
    rows = await fetch(connection, _selected(table).where(table.test_id == test_id))
    if not rows:
        raise NotFound(f"No test {test_id}")
    return _known_test(rows[0])


def _selected(table: Columns, *more: ColumnElement[Any]) -> Select[Any]:
    active = (
        select(literal(1))
        .where(_QUARANTINE.tenant_id == table.tenant_id, _QUARANTINE.test_id == table.test_id)
        .where(_QUARANTINE.ended_at.is_(None), _QUARANTINE.expires_at > func.now())
        .exists()
    )
    return select(*table, active.label("is_quarantined"), *more)


def _where(query: Select[Any], table: Columns, wanted: KnownTestFilter) -> Select[Any]:
    if wanted.test_id is not None:
        query = query.where(table.test_id == wanted.test_id)
    if wanted.search is not None:
        found = (column.icontains(wanted.search, autoescape=True) for column in (table.title, table.file))
        query = query.where(or_(*found))
    if wanted.file is not None:
        query = query.where(table.file == wanted.file)
    if wanted.test_suite is not None:
        query = query.where(literal(str(wanted.test_suite)) == any_(table.suites))
    if wanted.status is not None:
        letters = [letter.value for letter, status in _STATUSES.items() if status is wanted.status]
        query = query.where(func.left(table.outcomes, 1).in_(letters))
    if wanted.is_flaky is not None:
        query = query.where(table.flake_rate > 0 if wanted.is_flaky else table.flake_rate == 0)
    if wanted.is_quarantined is not None:
        active = query.selected_columns["is_quarantined"]
        query = query.where(active if wanted.is_quarantined else ~active)
    return query


def _known_test(row: Row) -> KnownTest:
    return KnownTest(
        test_id=row["test_id"],
        file=row["file"],
        title=row["title"],
        suites=tuple(TestSuite(suite) for suite in sorted(row["suites"])),
        first_run_at=row["first_run_at"],
        last_run_at=row["last_run_at"],
        outcomes=row["outcomes"],
        durations=tuple(row["durations"]),
        median_ms=row["median_ms"],
        p95_ms=row["p95_ms"],
        failure_rate=row["failure_rate"],
        flake_rate=row["flake_rate"],
        is_quarantined=row["is_quarantined"],
    )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One test's run in one execution. `error` is the start of the text; `likeness` is the same for errors alike."""

    execution_id: str
    ended_at: datetime
    test_suite: TestSuite
    branch: str
    commit: str | None
    environment: str
    shard_id: str
    status: TestStatus
    duration_ms: float | None
    retries: int
    attempts: tuple[Attempt, ...]
    error: str | None
    likeness: str | None


class RunPosition(msgspec.Struct, frozen=True):
    """The last run of a page, after which the next page begins."""

    ended_at: datetime
    execution_id: str


async def runs(
    connection: Connection, test: KnownTest, *, branch: str | None, after: RunPosition | None, limit: int
) -> tuple[list[Run], RunPosition | None]:
    """A test's runs, newest first; and where the next page begins, None after the last.

    Executions are walked through, for runs stand by execution: where a test is seldom run, that is a long way.

    Args:
        connection: a reader's, for one tenant.
        test: whose.
        branch: only there; "" for executions without one, None for all.
        after: where the page before ended.
        limit: most of them.
    """
    last = (None, None) if after is None else (after.ended_at, after.execution_id)
    rows = await connection.fetch(
        "SELECT d.execution_id, d.ended_at, b.test_suite, b.branch, e.commit_sha, e.environment, r.shard, r.status,"
        " r.duration_ms, r.retries, r.attempts, r.error, r.likeness"
        " FROM digested_executions AS d JOIN suite_branches AS b USING (suite_branch_id)"
        # With its limit, it is looked up execution by execution, whatever statistics say.
        " CROSS JOIN LATERAL (SELECT * FROM test_runs AS t WHERE t.execution_id = d.execution_id"
        "  AND t.ended_at = d.ended_at AND t.test_id = $1 LIMIT 1) AS r"
        " JOIN executions AS e ON e.execution_id = d.execution_id"
        " WHERE d.ended_at BETWEEN $2 AND $3 AND b.test_suite = ANY($4) AND ($5::text IS NULL OR b.branch = $5)"
        " AND ($6::timestamptz IS NULL OR (d.ended_at, d.execution_id) < ($6, $7))"
        " ORDER BY d.ended_at DESC, d.execution_id DESC LIMIT $8",
        *(test.test_id, test.first_run_at, test.last_run_at, test.suites, branch, *last, limit + 1),
    )
    found = [_run(row) for row in rows[:limit]]
    return found, RunPosition(found[-1].ended_at, found[-1].execution_id) if len(rows) > limit else None


_attempts = msgspec.json.Decoder(tuple[Attempt, ...])


def _run(row: Row) -> Run:
    return Run(
        execution_id=row["execution_id"],
        ended_at=row["ended_at"],
        test_suite=TestSuite(row["test_suite"]),
        branch=row["branch"],
        commit=row["commit_sha"],
        environment=row["environment"],
        shard_id=str(row["shard"]),
        status=TestStatus(row["status"]),
        duration_ms=row["duration_ms"],
        retries=row["retries"],
        attempts=() if row["attempts"] is None else _attempts.decode(row["attempts"]),
        error=row["error"],
        likeness=row["likeness"],
    )
