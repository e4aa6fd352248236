"""Tests and suites over executions on the wire: their numbers, and their runs."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.wire.executions import Cursor, PageSize, SearchText
from gateway.wire.listings import FileName, duration
from gateway.wire.moments import PrintedMoment
from gateway.wire.quarantine import Quarantine
from orchestrator.executions.model import Attempt, Environment, ExecutionStatus, TestStatus, TestSuite, Totals
from orchestrator.history.estimates import trend
from orchestrator.history.model import Outcome
from orchestrator.timestamps import to_text
from storage import known_tests, suites
from storage.known_tests import KnownTestFilter, TestOrder

Rate = Annotated[float, Meta(description="0 to 1")]
Milliseconds = Annotated[float | None, Meta(description="milliseconds")]
TestId = Annotated[str, Meta(max_length=64)]
PointCount = Annotated[int, Meta(ge=0, le=200)]

_RATE_DIGITS = 4
_DURATION_DIGITS = 3


class RecentOutcome(StrEnum):
    """How one of the latest runs ended."""

    PASSED = "passed"
    FLAKY = "flaky"
    FAILED = "failed"
    SKIPPED = "skipped"


class KnownTestQuery(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "test_id": "testId",
        "test_suite": "testSuite",
        "is_flaky": "flaky",
        "is_quarantined": "quarantined",
        "order": "sort",
    },
):
    """Which tests to list. `search` is a part of the title or file; `status` is that of the newest run.

    With `branch` and `testSuite`, only tests that the suite has run there lately, and the numbers of these runs; an
    empty `branch` is that of executions without one.
    """

    test_id: TestId | None = None
    search: SearchText | None = None
    file: FileName | None = None
    test_suite: TestSuite | None = None
    branch: SearchText | None = None
    status: TestStatus | None = None
    is_flaky: bool | None = None
    is_quarantined: bool | None = None
    order: TestOrder = TestOrder.FAILURE_RATE
    limit: PageSize = 50
    cursor: Cursor | None = None

    def wanted(self) -> KnownTestFilter:
        """As the store knows it."""
        return KnownTestFilter(
            test_id=self.test_id,
            search=self.search,
            file=self.file,
            test_suite=self.test_suite,
            branch=self.branch,
            status=self.status,
            is_flaky=self.is_flaky,
            is_quarantined=self.is_quarantined,
        )


class KnownTest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One test over all suites, branches and shards.

    Attributes:
        runs: how many of its latest runs the numbers are from; those skipped count for no rate.
        duration_trend: how much longer the newer half of them took than the older: 0.5 is half as long again.
        recent: how each ended, newest first.
    """

    test_id: str
    title: str
    file: str | None
    test_suites: tuple[TestSuite, ...]
    first_run_at: PrintedMoment
    last_run_at: PrintedMoment
    last_status: TestStatus
    runs: int
    failure_rate: Rate
    flake_rate: Rate
    median_duration: Milliseconds
    p95_duration: Milliseconds
    duration_trend: float | None
    recent: list[RecentOutcome]
    quarantined: bool


class KnownTestPage(msgspec.Struct, frozen=True, rename="camel"):
    """Tests in the order asked for."""

    tests: list[KnownTest]
    next_cursor: str | None


class KnownTestDetails(KnownTest, frozen=True, kw_only=True, rename="camel"):
    """One test with the durations of its latest runs, as `recent` has them, and its quarantine."""

    recent_durations: list[float | None]
    quarantine: Quarantine | None


class TestHistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; an empty `branch` is that of executions without one."""

    branch: SearchText | None = None
    limit: PageSize = 50
    cursor: Cursor | None = None


class TestRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One test's run in one execution that ended.

    Attributes:
        attempts: the tries before the one that counts, where its runner told of them.
        error: the start of the text.
        error_likeness: the same for errors that differ in numbers alone.
    """

    execution_id: str
    ended_at: PrintedMoment
    test_suite: TestSuite
    environment: Environment
    branch: str | None
    commit: str | None
    shard_id: str
    status: TestStatus
    flaky: bool
    duration: Milliseconds
    retries: int
    attempts: tuple[Attempt, ...]
    error: str | None
    error_likeness: str | None


class TestHistory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A test's runs, newest first."""

    test_id: str
    title: str
    file: str | None
    runs: list[TestRun]
    next_cursor: str | None


class SuiteQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"test_suite": "testSuite"}):
    """Which suites and branches to list; `points`: how many executions of each."""

    test_suite: TestSuite | None = None
    branch: SearchText | None = None
    points: PointCount = 30
    limit: PageSize = 50
    cursor: Cursor | None = None


class SuitePoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One execution that ended. `pass_rate` is of the tests that were not skipped, null where there are none."""

    execution_id: str
    ended_at: PrintedMoment
    status: ExecutionStatus
    duration: int | None
    results: Totals
    pass_rate: Rate | None


class SuiteBranch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A suite on a branch, with its latest executions, newest first."""

    test_suite: TestSuite
    branch: str | None
    last_ended_at: PrintedMoment
    points: list[SuitePoint]


class SuitePage(msgspec.Struct, frozen=True, rename="camel"):
    """Suites and branches, the one that ran last first."""

    suites: list[SuiteBranch]
    next_cursor: str | None


_OUTCOMES = {letter.value: RecentOutcome[letter.name] for letter in Outcome}


def printed(test: known_tests.KnownTest) -> KnownTest:
    """A test as it is listed."""
    grown = trend(test.durations)
    return KnownTest(
        test_id=test.test_id,
        title=test.title,
        file=test.file,
        test_suites=test.suites,
        first_run_at=to_text(test.first_run_at),
        last_run_at=to_text(test.last_run_at),
        last_status=test.last_status,
        runs=len(test.outcomes),
        failure_rate=round(test.failure_rate, _RATE_DIGITS),
        flake_rate=round(test.flake_rate, _RATE_DIGITS),
        median_duration=_rounded(test.median_ms),
        p95_duration=_rounded(test.p95_ms),
        duration_trend=None if grown is None else round(grown, _RATE_DIGITS),
        recent=[_OUTCOMES[letter] for letter in test.outcomes],
        quarantined=test.is_quarantined,
    )


def printed_whole(test: known_tests.KnownTest, quarantine: Quarantine | None) -> KnownTestDetails:
    """A test as it is shown alone."""
    return KnownTestDetails(
        **msgspec.structs.asdict(printed(test)),
        recent_durations=[_rounded(one) for one in test.durations],
        quarantine=quarantine,
    )


def run(record: known_tests.Run) -> TestRun:
    """A run as it is printed."""
    return TestRun(
        execution_id=record.execution_id,
        ended_at=to_text(record.ended_at),
        test_suite=record.test_suite,
        environment=Environment(record.environment),
        branch=record.branch or None,
        commit=record.commit,
        shard_id=record.shard_id,
        status=record.status,
        flaky=record.status is TestStatus.PASSED and record.retries > 0,
        duration=duration(record.duration_ms),
        retries=record.retries,
        attempts=record.attempts,
        error=record.error,
        error_likeness=record.likeness,
    )


def suite(record: suites.SuiteBranch) -> SuiteBranch:
    """A suite on a branch as it is printed."""
    return SuiteBranch(
        test_suite=record.test_suite,
        branch=record.branch or None,
        last_ended_at=to_text(record.last_ended_at),
        points=[_point(one) for one in record.points],
    )


def _point(point: suites.SuitePoint) -> SuitePoint:
    counted = point.totals.passed + point.totals.failed
    return SuitePoint(
        execution_id=point.execution_id,
        ended_at=to_text(point.ended_at),
        status=point.status,
        duration=point.duration_ms,
        results=point.totals,
        pass_rate=round(point.totals.passed / counted, _RATE_DIGITS) if counted else None,
    )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else duration(round(milliseconds, _DURATION_DIGITS))
