"""Commands as tests give them: only what matters to the test is named."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count as numbers
from typing import TypeVar

import msgspec

from orchestrator import ids
from orchestrator.executions.commands import Command, Create, Submit
from orchestrator.executions.model import (
    Configuration,
    Environment,
    ShardStatus,
    TestResult,
    TestStatus,
    TestSuite,
    Totals,
    count,
)
from storage import result_rows

C = TypeVar("C", bound=Command)

_numbers = numbers(1)


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def command_id() -> str:
    """A new one."""
    return ids.new_id("cmd", now())


def create(*, tenant: int = 1, shards: int = 2, timeout: int = 60_000, execution_id: str | None = None) -> Create:
    """A new execution."""
    return Create(
        command_id=command_id(),
        tenant_id=tenant,
        execution_id=execution_id or ids.execution_id(now()),
        test_suite=TestSuite.SMOKE,
        environment=Environment.STAGING,
        provider="custom-ci",
        trigger_source=None,
        configuration=Configuration(shards=shards, timeout=timeout),
        metadata='{"branch":"main","commit":"abc123"}',
        base_url="http://tms.example",
    )


def outcomes(passed: int = 1, failed: int = 0, skipped: int = 0) -> list[TestResult]:
    """Tests with these outcomes."""
    each = ((TestStatus.PASSED, passed), (TestStatus.FAILED, failed), (TestStatus.SKIPPED, skipped))
    return [
        TestResult(f"{status} {number}", status, "tests/a.py", 12.5, "boom" if status is TestStatus.FAILED else None)
        for status, amount in each
        for number in range(1, amount + 1)
    ]


def submit(
    made: Create,
    shard_id: str,
    tests: Sequence[TestResult] = (),
    *,
    status: ShardStatus = ShardStatus.COMPLETED,
    totals: Totals | None = None,
    body: str | None = None,
    runner_id: str | None = None,
) -> Submit:
    """A shard's results; every call is another request unless `body` says that it is the same."""
    at = now()
    submission_id = ids.new_id("sub", at)
    content = body if body is not None else f"request {next(_numbers)}"
    return Submit(
        command_id=command_id(),
        tenant_id=made.tenant_id,
        execution_id=made.execution_id,
        submission_id=submission_id,
        shard_id=shard_id,
        provider="custom-runner",
        status=status,
        totals=count(tests) if totals is None else totals,
        tests=len(tests),
        rows=result_rows.encode(made.tenant_id, submission_id, at, tests),
        artifacts=None,
        metadata=None,
        digest=blake2b(content.encode(), digest_size=16).digest(),
        reported_at=at,
        runner_id=runner_id,
    )


def again(command: C) -> C:
    """The same command, sent again by a mailbox that does not know what became of it."""
    return msgspec.structs.replace(command, may_repeat=True)
