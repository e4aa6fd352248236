"""Executions that ended, written straight into the store, with the tests that their shards reported."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from orchestrator import ids
from orchestrator.executions import planning
from orchestrator.executions.model import (
    Configuration,
    Environment,
    Execution,
    ExecutionStatus,
    ReasonCode,
    Shard,
    ShardStatus,
    TestResult,
    TestStatus,
    TestSuite,
    count,
)
from orchestrator.executions.plan import PlanMode
from orchestrator.executions.planning import NOTHING_KNOWN, PlannedTest, Rules
from orchestrator.history.model import Terms
from storage import commits, digests, executions, plans, quarantines, result_rows
from storage.commits import Changes, Submission
from storage.postgres import Connection
from storage.quarantines import Quarantine

EVER = datetime(1970, 1, 1, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    """So many minutes before the present."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def ran(title: str, status: TestStatus | str = "passed", *, file: str = "tests/a.py", **fields: object) -> TestResult:
    """A test as it was reported; it took 10 ms unless said otherwise."""
    plain = {"title": title, "status": status, "file": file, "duration": 10}
    return msgspec.convert(plain | fields, _Reported).result()


class _Reported(msgspec.Struct):
    title: str
    status: TestStatus
    file: str | None
    duration: float | None
    error: str | None = None
    retries: int | None = None

    def result(self) -> TestResult:
        return TestResult(self.title, self.status, self.file, self.duration, self.error, self.retries)


async def ended(
    connection: Connection,
    tenant_id: int,
    *shards: Sequence[TestResult],
    at: datetime | None = None,
    branch: str | None = "main",
    suite: TestSuite = TestSuite.REGRESSION,
    status: ExecutionStatus = ExecutionStatus.COMPLETED,
    duration_ms: int = 60_000,
) -> str:
    """An execution that ended then (now by default), each of its shards with these tests; its id."""
    at = at or datetime.now(UTC)
    execution_id = ids.execution_id(at)
    submissions = [_submission(tenant_id, execution_id, number, at, tests) for number, tests in enumerate(shards, 1)]
    execution = Execution(
        execution_id=execution_id,
        tenant_id=tenant_id,
        test_suite=suite,
        environment=Environment.STAGING,
        provider="custom-ci",
        trigger_source=None,
        configuration=Configuration(shards=len(shards)),
        metadata=None if branch is None else f'{{"branch":"{branch}"}}',
        base_url="http://tms.example",
        created_at=at - timedelta(milliseconds=duration_ms),
        shards=tuple(_shard(one, at) for one in submissions),
        deadline=None,
        status=status,
        seq=len(shards) + 2,
        started_at=at - timedelta(milliseconds=duration_ms),
        ended_at=at,
        reason_code=None if status is ExecutionStatus.COMPLETED else ReasonCode.REPORTED,
    )
    await commits.write_state(connection, 0, Changes(created=[execution], submissions=submissions))
    return execution_id


async def planned(
    connection: Connection, execution_id: str, tests: Sequence[TestResult], rerun_of: str | None = None
) -> None:
    """Give an execution a plan of these tests."""
    execution = (await executions.load(connection, [execution_id]))[execution_id]
    names = [PlannedTest(test.file or "", test.title) for test in tests]
    rules = Rules(mode=PlanMode.QUEUE, shards=len(execution.shards))
    drawn = planning.draw(names, [NOTHING_KNOWN] * len(names), rules, execution.created_at)
    with_plan = msgspec.structs.replace(execution, plan=drawn.plan)
    await plans.insert(connection, [(with_plan, plans.pack(drawn.manifest, rerun_of))])


async def sent_again(connection: Connection, execution_id: str, number: int, tests: Sequence[TestResult]) -> None:
    """Another result of a shard, as its owner writes it."""
    execution = (await executions.load(connection, [execution_id]))[execution_id]
    at = datetime.now(UTC)
    submission = _submission(execution.tenant_id, execution_id, number, at, tests)
    shard = _shard(submission, at)
    changed = msgspec.structs.replace(execution, shards=execution.with_shard(shard), seq=execution.seq + 1)
    await commits.write_state(connection, 0, Changes(changed=[(changed, [shard])], submissions=[submission]))


async def digest_all(connection: Connection) -> list[str]:
    """Have history know all that ended; which executions that were, those of other tests included."""
    digested: list[str] = []
    while await digests.register(connection):
        pass
    while True:
        async with connection.transaction():
            execution = await digests.claim(connection, [])
            if execution is None:
                return digested
            await digests.digest(connection, execution, oldest=EVER, now=datetime.now(UTC))
        digested.append(execution.execution_id)


def _shard(submission: Submission, at: datetime) -> Shard:
    return Shard(
        shard_id=str(submission.shard),
        status=ShardStatus.COMPLETED,
        totals=submission.totals,
        submission_id=submission.submission_id,
        digest=submission.digest,
        attempts=1,
        started_at=at,
        ended_at=at,
    )


def _submission(
    tenant_id: int, execution_id: str, number: int, at: datetime, tests: Sequence[TestResult]
) -> Submission:
    submission_id = ids.new_id("sub", at)
    return Submission(
        submission_id=submission_id,
        tenant_id=tenant_id,
        execution_id=execution_id,
        shard=number,
        attempt=1,
        provider=None,
        status="completed",
        totals=count(tests),
        tests=len(tests),
        first_frame=1,
        artifacts=None,
        metadata=None,
        digest=submission_id.encode(),
        reported_at=at,
        recorded_at=at,
        root_id=submission_id,
        rows=result_rows.encode(tenant_id, submission_id, at, tests),
    )


async def quarantined(
    connection: Connection,
    tenant_id: int,
    test_id: str,
    *,
    at: datetime | None = None,
    expires_at: datetime | None = None,
    exit_streak: int = 3,
) -> Quarantine:
    """A test put into quarantine, now and for a week unless said otherwise."""
    now = at or datetime.now(UTC)
    expires_at = expires_at or now + timedelta(days=7)
    terms = Terms(owner="ann", reason="flaky", expires_at=expires_at, exit_streak=exit_streak)
    return await quarantines.put(connection, tenant_id, test_id, terms, now)
