"""Executions as they are read: whole for their owner, in pages and parts for the gateway."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from msgspec import Meta
from sqlalchemy import Select, and_, or_, select, tuple_
from sqlalchemy.dialects import postgresql

from orchestrator.executions.model import (
    Configuration,
    Environment,
    Execution,
    ExecutionStatus,
    ReasonCode,
    Shard,
    ShardStatus,
    TestDetails,
    TestResult,
    TestStatus,
    TestSuite,
    Totals,
    TriggerSource,
)
from orchestrator.executions.payloads import FailedTest
from storage import plans, schema
from storage.postgres import Connection

Row = asyncpg.Record


async def load(connection: Connection, execution_ids: Sequence[str]) -> dict[str, Execution]:
    """Executions with all their shards, without their plans; ids that this connection may not see are left out."""
    rows = await connection.fetch(
        "SELECT e.*, d.reported, d.missing, d.state FROM executions AS e LEFT JOIN deals AS d USING (execution_id)"
        " WHERE execution_id = ANY($1)",
        execution_ids,
    )
    if not rows:
        return {}
    shards: dict[str, list[Shard]] = {row["execution_id"]: [] for row in rows}
    for row in await connection.fetch(
        "SELECT * FROM shards WHERE execution_id = ANY($1) ORDER BY execution_id, number", list(shards)
    ):
        shards[row["execution_id"]].append(_shard(row))
    return {row["execution_id"]: _execution(row, tuple(shards[row["execution_id"]])) for row in rows}


class Unfinished(msgspec.Struct, frozen=True):
    """What an owner has to know of an execution that it has not met yet: when it ends by itself, since when it runs."""

    execution_id: str
    tenant_id: int
    deadline: datetime
    started_at: datetime | None


async def unfinished(connection: Connection, partition: int) -> list[Unfinished]:
    """Every unfinished execution of a partition."""
    rows = await connection.fetch(
        "SELECT execution_id, tenant_id, deadline, started_at FROM executions"
        " WHERE partition = $1 AND status IN ('created', 'running')",
        partition,
    )
    return [Unfinished(*row) for row in rows]


async def failed_tests(
    connection: Connection, execution_ids: Sequence[str], *, limit: int, error_length: int
) -> dict[str, list[FailedTest]]:
    """The first failed tests of each execution's current submissions, in shard order, long errors cut."""
    rows = await connection.fetch(
        "SELECT x.execution_id, f.* FROM unnest($1::text[]) AS x(execution_id) CROSS JOIN LATERAL ("
        " SELECT t.title, t.file, left(t.error, $3) AS error, s.number::text AS shard"
        " FROM shards s JOIN submissions b ON b.execution_id = s.execution_id AND b.root_id = s.submission_id"
        " JOIN tests t ON t.submission_id = b.submission_id AND t.reported_at = b.reported_at"
        " WHERE s.execution_id = x.execution_id AND s.failed > 0 AND t.status = 'failed'"
        " ORDER BY s.number, t.submission_id, t.ordinal LIMIT $2) AS f",
        execution_ids,
        limit,
        error_length,
    )
    found: dict[str, list[FailedTest]] = {}
    for row in rows:
        test = FailedTest(row["title"], row["file"], row["error"], row["shard"])
        found.setdefault(row["execution_id"], []).append(test)
    return found


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions to list; None leaves a field open."""

    test_suite: TestSuite | None = None
    environment: Environment | None = None
    status: ExecutionStatus | None = None
    branch: str | None = None
    commit: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


class Position(msgspec.Struct, frozen=True):
    """The last execution of a page, after which the next page begins."""

    created_at: datetime
    execution_id: str


async def page(
    connection: Connection, wanted: Filter, *, after: Position | None, limit: int
) -> tuple[list[Execution], Position | None]:
    """Executions, newest first, with their shards; and where the next page begins, None after the last.

    New executions come before the first page, so that no page repeats or misses one while it is read.
    """
    table = schema.executions.c
    query = select(table.execution_id).order_by(table.created_at.desc(), table.execution_id.desc()).limit(limit + 1)
    conditions = {
        table.test_suite: wanted.test_suite,
        table.environment: wanted.environment,
        table.status: wanted.status,
        table.branch: wanted.branch,
        table.commit_sha: wanted.commit,
    }
    for column, value in conditions.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.created_from is not None:
        query = query.where(table.created_at >= wanted.created_from)
    if wanted.created_before is not None:
        query = query.where(table.created_at < wanted.created_before)
    if after is not None:
        query = query.where(tuple_(table.created_at, table.execution_id) < (after.created_at, after.execution_id))
    ids = [row["execution_id"] for row in await fetch(connection, query)]
    found = await load(connection, ids[:limit])
    executions = [found[execution_id] for execution_id in ids[:limit]]
    if len(ids) <= limit:
        return executions, None
    last = executions[-1]
    return executions, Position(last.created_at, last.execution_id)


class Finished(msgspec.Struct, frozen=True):
    """How an execution ended: of `total` tests that were reported, `failed` failed."""

    status: ExecutionStatus
    reason_code: ReasonCode | None
    total: int
    failed: int


async def newest_finished(
    connection: Connection, test_suite: TestSuite, environment: Environment | None, branch: str | None
) -> Finished | None:
    """The newest execution that has ended, of those that a badge tells of; None if there is none."""
    row = await connection.fetchrow(
        "SELECT status, reason_code, total, failed FROM executions"
        " WHERE test_suite = $1 AND status IN ('completed', 'failed', 'cancelled')"
        " AND ($2::text IS NULL OR environment = $2) AND ($3::text IS NULL OR branch = $3)"
        " ORDER BY created_at DESC, execution_id DESC LIMIT 1",
        test_suite,
        environment,
        branch,
    )
    if row is None:
        return None
    reason_code = None if row["reason_code"] is None else ReasonCode(row["reason_code"])
    return Finished(ExecutionStatus(row["status"]), reason_code, row["total"], row["failed"])


class EventRecord(msgspec.Struct, frozen=True):
    """One event as the log keeps it; `data` is JSON text."""

    seq: int
    name: str
    at: datetime
    data: str


async def events(connection: Connection, execution_id: str, *, after: int, limit: int) -> list[EventRecord]:
    """The events that follow number `after`, in order."""
    rows = await connection.fetch(
        "SELECT seq, name, at, data FROM events WHERE execution_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        execution_id,
        after,
        limit,
    )
    return [EventRecord(row["seq"], row["name"], row["at"], row["data"]) for row in rows]


class SubmissionRecord(msgspec.Struct, frozen=True):
    """One submission without its tests. `artifacts` and `metadata` are JSON text; `is_current`: its totals count."""

    submission_id: str
    shard_id: str
    attempt: int | None
    status: ShardStatus
    totals: Totals
    tests: int
    first_frame: int | None
    artifacts: str | None
    metadata: str | None
    recorded_at: datetime
    is_current: bool


async def submissions(connection: Connection, execution_id: str, *, limit: int) -> list[SubmissionRecord]:
    """An execution's submissions in the order they came; of a stream's pieces the first, and those with artifacts."""
    table, shards = schema.submissions.c, schema.shards.c
    query = (
        select(schema.submissions, (shards.submission_id == table.root_id).label("is_current"))
        .join(schema.shards, and_(shards.execution_id == table.execution_id, shards.number == table.shard))
        .where(
            table.execution_id == execution_id,
            or_(table.root_id == table.submission_id, table.artifacts.is_not(None)),
        )
        .order_by(table.recorded_at, table.submission_id)
        .limit(limit)
    )
    return [
        SubmissionRecord(
            submission_id=row["submission_id"],
            shard_id=str(row["shard"]),
            attempt=row["attempt"],
            status=ShardStatus(row["status"]),
            totals=_totals(row),
            tests=row["tests"],
            first_frame=row["first_frame"],
            artifacts=row["artifacts"],
            metadata=row["metadata"],
            recorded_at=row["recorded_at"],
            is_current=bool(row["is_current"]),
        )
        for row in await fetch(connection, query)
    ]


class TestRecord(msgspec.Struct, frozen=True):
    """One stored test of a submission."""

    submission_id: str
    shard_id: str
    attempt: int | None
    ordinal: int
    title: str
    file: str | None
    status: TestStatus
    duration_ms: float | None
    error: str | None
    retries: int | None
    tags: tuple[str, ...]
    details: TestDetails | None


class TestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests of an execution to list. Without `all_attempts` only those of the shards' current submissions."""

    shard: int | None = None
    status: TestStatus | None = None
    flaky: bool | None = None
    file: str | None = None
    search: str | None = None
    all_attempts: bool = False


_Number = Annotated[int, Meta(ge=0, lt=2**31)]


class TestPosition(msgspec.Struct, frozen=True):
    """The last test of a page."""

    shard: _Number
    submission_id: str
    ordinal: _Number


async def tests(
    connection: Connection, execution_id: str, wanted: TestFilter, *, after: TestPosition | None, limit: int
) -> tuple[list[TestRecord], TestPosition | None]:
    """Tests in the order of shard, submission and report; and where the next page begins, None after the last."""
    query = _tests_of(execution_id, wanted)
    submission, test = schema.submissions.c, schema.tests.c
    if after is not None:
        place = (after.shard, after.submission_id, after.ordinal)
        query = query.where(tuple_(submission.shard, test.submission_id, test.ordinal) > place)
    query = query.order_by(submission.shard, test.submission_id, test.ordinal).limit(limit + 1)
    rows = await fetch(connection, query)
    records = [test_record(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return records, None
    last = rows[limit - 1]
    return records, TestPosition(last["shard"], last["submission_id"], last["ordinal"])


class Place(msgspec.Struct, frozen=True):
    """The last test of a page of a shard's tests."""

    submission_id: str = ""
    ordinal: int = 0


async def tests_of_result(
    connection: Connection, execution_id: str, root_id: str, *, after: Place, limit: int
) -> tuple[list[TestResult], Place | None]:
    """The tests of a shard's submission in the order they were reported, and the place of the last, None at the end.

    Args:
        connection: sees one tenant.
        execution_id: whose submission it is.
        root_id: the shard's `submission_id`; pieces of a stream belong to their first.
        after: which test to begin after.
        limit: how many at the most.
    """
    rows = await connection.fetch(
        "SELECT t.* FROM submissions b"
        " JOIN tests t ON t.submission_id = b.submission_id AND t.reported_at = b.reported_at"
        " WHERE b.execution_id = $1 AND b.root_id = $2 AND (t.submission_id, t.ordinal) > ($3, $4)"
        " ORDER BY t.submission_id, t.ordinal LIMIT $5",
        execution_id,
        root_id,
        after.submission_id,
        after.ordinal,
        limit,
    )
    last = Place(rows[-1]["submission_id"], rows[-1]["ordinal"]) if len(rows) == limit else None
    return [_test_result(row) for row in rows], last


async def slowest_tests(connection: Connection, execution_id: str, limit: int) -> list[TestRecord]:
    """The longest of the current tests, longest first."""
    duration = schema.tests.c.duration_ms
    query = _tests_of(execution_id, TestFilter()).where(duration.is_not(None)).order_by(duration.desc()).limit(limit)
    return [test_record(row) for row in await fetch(connection, query)]


def _tests_of(execution_id: str, wanted: TestFilter) -> Select[Any]:
    submission, test, shard = schema.submissions.c, schema.tests.c, schema.shards.c
    query = (
        select(schema.tests, submission.shard, submission.attempt)
        .select_from(schema.submissions)
        .join(
            schema.tests,
            and_(test.submission_id == submission.submission_id, test.reported_at == submission.reported_at),
        )
        .where(submission.execution_id == execution_id)
    )
    if not wanted.all_attempts:
        query = query.join(schema.shards, shard.submission_id == submission.root_id).where(
            shard.execution_id == execution_id
        )
    if wanted.shard is not None:
        query = query.where(submission.shard == wanted.shard)
    if wanted.status is not None:
        query = query.where(test.status == wanted.status)
    if wanted.flaky is not None:
        is_flaky = and_(test.status == TestStatus.PASSED, test.retries > 0)
        query = query.where(is_flaky.is_(True) if wanted.flaky else is_flaky.is_not(True))
    if wanted.file is not None:
        query = query.where(test.file == wanted.file)
    if wanted.search is not None:
        query = query.where(test.title.icontains(wanted.search, autoescape=True))
    return query


async def fetch(connection: Connection, query: Select[Any]) -> list[Row]:
    """Run a query built with SQLAlchemy Core on the driver's own connection."""
    compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    positions = compiled.positiontup or ()
    return await connection.fetch(str(compiled), *(compiled.params[name] for name in positions))


_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves it untyped


def _totals(row: Row) -> Totals:
    return Totals(row["total"], row["passed"], row["failed"], row["skipped"], row["flaky"])


def _shard(row: Row) -> Shard:
    return Shard(
        shard_id=str(row["number"]),
        status=ShardStatus(row["status"]),
        totals=_totals(row),
        submission_id=row["submission_id"],
        digest=row["digest"],
        attempts=row["attempts"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        duration_ms=row["duration_ms"],
        is_streamed=row["streamed"],
    )


def _execution(row: Row, shards: tuple[Shard, ...]) -> Execution:
    trigger, reason_code, announced = row["trigger_source"], row["reason_code"], row["announced"]
    return Execution(
        execution_id=row["execution_id"],
        tenant_id=row["tenant_id"],
        test_suite=TestSuite(row["test_suite"]),
        environment=Environment(row["environment"]),
        provider=row["provider"],
        trigger_source=None if trigger is None else TriggerSource(trigger),
        configuration=msgspec.json.decode(row["configuration"], type=Configuration),
        metadata=row["metadata"],
        base_url=row["base_url"],
        created_at=row["created_at"],
        shards=shards,
        deadline=row["deadline"],
        status=ExecutionStatus(row["status"]),
        seq=row["seq"],
        frames=row["frames"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        reason_code=None if reason_code is None else ReasonCode(reason_code),
        reason=row["reason"],
        announced=None if announced is None else msgspec.json.decode(announced, type=Totals),
        deal=None if row["state"] is None else plans.deal_of(row),
    )


def _test_result(row: Row) -> TestResult:
    return TestResult(
        title=row["title"],
        status=TestStatus(row["status"]),
        file=row["file"],
        duration_ms=row["duration_ms"],
        error=row["error"],
        retries=row["retries"],
        tags=None if row["tags"] is None else tuple(row["tags"]),
        details=_details(row["details"]),
    )


def _details(text: str | None) -> TestDetails | None:
    return None if text is None else msgspec.json.decode(text, type=TestDetails)


def test_record(row: Row) -> TestRecord:
    """A row of `tests` with `shard` and `attempt` of its submission."""
    return TestRecord(
        submission_id=row["submission_id"],
        shard_id=str(row["shard"]),
        attempt=row["attempt"],
        ordinal=row["ordinal"],
        title=row["title"],
        file=row["file"],
        status=TestStatus(row["status"]),
        duration_ms=row["duration_ms"],
        error=row["error"],
        retries=row["retries"],
        tags=tuple(row["tags"] or ()),
        details=_details(row.get("details")),  # live frames go without
    )
