"""Writes an execution as CTRF JSON: nothing that its schema does not have, but for `extra`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from orchestrator.artifacts import kinds
from orchestrator.executions import source
from orchestrator.executions.formats.ctrf import SPEC_VERSION
from orchestrator.executions.model import (
    Attempt,
    Execution,
    ExecutionStatus,
    Shard,
    TestDetails,
    TestResult,
    TestStatus,
    Totals,
)
from orchestrator.timestamps import to_text

Json = dict[str, Any]

_NOTHING = TestDetails()
_encode = msgspec.json.Encoder().encode


class CtrfWriter:
    """Writes one report; see `report.Writer`.

    Args:
        execution: whose report it is.
        totals: of the shards that will be written.
        shard: the one whose report it is; None for all.
        now: the present.
    """

    def __init__(self, execution: Execution, totals: Totals, shard: Shard | None, now: datetime) -> None:
        self._execution = execution
        self._totals = totals
        self._shard = shard
        self._now = now
        self._shard_id = ""
        self._separator = b""

    def begin(self) -> bytes:
        """See `report.Writer`."""
        execution = self._execution
        document = {
            "reportFormat": "CTRF",
            "specVersion": SPEC_VERSION,
            "runId": execution.execution_id,
            "timestamp": to_text(self._now),
            "generatedBy": "tms",
            "extra": {"tms.execution": _present(status=execution.status, reason=execution.reason)},
        }
        results = {
            "tool": {"name": execution.provider},
            "summary": _times(execution, self._shard or execution, self._now) | _counters(self._totals),
            "environment": self._environment(),
        }
        return b'%b,"results":%b,"tests":[' % (_encode(document)[:-1], _encode(results)[:-1])

    def shard(self, shard: Shard) -> bytes:
        """See `report.Writer`."""
        self._shard_id = shard.shard_id
        return b""

    def tests(self, tests: Sequence[TestResult]) -> bytes:
        """See `report.Writer`."""
        written = b",".join(_encode(_test(test, self._shard_id)) for test in tests)
        if not written:
            return b""
        separator, self._separator = self._separator, b","
        return separator + written

    def end(self) -> bytes:
        """See `report.Writer`."""
        return b"]}}"

    def _environment(self) -> Json:
        execution = self._execution
        tested = source.of(execution.metadata)
        return _present(
            reportName=execution.test_suite,
            testEnvironment=execution.environment,
            branchName=tested.branch,
            commit=tested.commit,
            shardId=None if self._shard is None else self._shard.shard_id,
            healthy=execution.status is ExecutionStatus.COMPLETED and execution.reason_code is None,
        )


def _times(execution: Execution, timed: Execution | Shard, now: datetime) -> Json:
    """Start and stop are wanted even of what has neither: it began with the execution, and goes on now."""
    start = timed.started_at or execution.started_at or execution.created_at
    stop = max(start, timed.ended_at or now)
    return {"start": _epoch_ms(start), "stop": _epoch_ms(stop)}


def _counters(totals: Totals) -> Json:
    return {
        "tests": totals.total,
        "passed": totals.passed,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "pending": 0,
        "other": max(0, totals.total - totals.passed - totals.failed - totals.skipped),
        "flaky": totals.flaky,
    }


def _epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _test(test: TestResult, shard_id: str) -> Json:
    details = test.details or _NOTHING
    return _present(
        name=test.title or "(no name)",
        status=test.status,
        duration=round(test.duration_ms or 0),
        **_error(test.error),
        filePath=test.file,
        tags=test.tags,
        labels=_labels(details),
        retries=len(details.attempts) or test.retries,
        retryAttempts=[_attempt(number, attempt) for number, attempt in enumerate(details.attempts, 1)] or None,
        flaky=test.status is TestStatus.PASSED and bool(test.retries),
        attachments=[_attachment(path) for path in details.attachments] or None,
        extra={"tms.shardId": shard_id},
    )


def _attempt(number: int, attempt: Attempt) -> Json:
    duration = None if attempt.duration_ms is None else round(attempt.duration_ms)
    return _present(attempt=number, status=attempt.status, duration=duration, **_error(attempt.error))


def _attachment(path: str) -> Json:
    return {"name": path.rpartition("/")[2], "contentType": kinds.content_type(path), "path": path}


def _labels(details: TestDetails) -> Json | None:
    """Values by name; a list of them where a name has several."""
    labels: dict[str, list[str]] = {}
    for one in details.properties:
        labels.setdefault(one.name, []).append(one.value)
    return {name: values if len(values) > 1 else values[0] for name, values in labels.items()} or None


def _error(error: str | None) -> Json:
    """The whole text is the trace, and its first line the message."""
    return {} if error is None else {"message": error.partition("\n")[0], "trace": error}


def _present(**fields: object) -> Json:
    """What is there; CTRF has no null."""
    return {name: value for name, value in fields.items() if value is not None}
