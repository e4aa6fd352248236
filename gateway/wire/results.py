"""A shard's results on the wire, and what of them the rules know (X-052 to X-062)."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.wire.executions import Provider
from gateway.wire.moments import PrintedMoment, Timestamp, check
from orchestrator.executions.model import SentTotals, TestOutcome

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
DurationMs = Annotated[float, Meta(ge=0, le=1e15, description="milliseconds")]
ExecutionId = Annotated[str, Meta(min_length=1, max_length=64)]
RunnerId = Annotated[str, Meta(min_length=1, max_length=200)]
ShardId = Annotated[str, Meta(min_length=1, max_length=16)] | Count
Names = Annotated[list[str], Meta(description="names of files")]


class ReportedStatus(StrEnum):
    """How a runner says that its shard ended (X-053)."""

    COMPLETED = "completed"
    FAILED = "failed"
    ERROR = "error"


class Counters(msgspec.Struct, frozen=True):
    """Counters as a runner sends them; those missing are counted from its tests (X-054)."""

    total: Count | None = None
    passed: Count | None = None
    failed: Count | None = None
    skipped: Count | None = None
    flaky: Count | None = None

    def sent(self) -> SentTotals:
        """As the rules know them."""
        return SentTotals(self.total, self.passed, self.failed, self.skipped, self.flaky)


class TestItem(TestOutcome, frozen=True, gc=False):
    """One test (X-055)."""

    duration_ms: DurationMs | None = msgspec.field(default=None, name="duration")
    retries: Count | None = None


class Artifacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names of files that a shard made, by kind (X-056)."""

    screenshots: Names | None = None
    videos: Names | None = None
    traces: Names | None = None
    logs: Names | None = None

    def kinds(self) -> int:
        """How many kinds are not empty (X-059)."""
        return bool(self.screenshots) + bool(self.videos) + bool(self.traces) + bool(self.logs)


class RunMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a shard's run; anything else may stand beside it and is kept (X-057)."""

    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    duration: DurationMs | None = None
    browser: str | None = None
    viewport: str | None = None
    user_agent: str | None = None

    def __post_init__(self) -> None:
        check((self.start_time, self.end_time))


class ResultSubmission(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a submission; `runnerId` is that of a claim, whose word then counts while it holds the shard."""

    execution_id: ExecutionId
    shard_id: ShardId
    status: ReportedStatus
    provider: Provider | None = None
    results: Counters | None = None
    tests: list[TestItem] | None = None
    artifacts: Artifacts | None = None
    metadata: RunMetadata | None = None
    runner_id: RunnerId | None = None


class SubmissionSummary(msgspec.Struct, frozen=True, rename="camel"):
    """What a submission brought (X-058 to X-060)."""

    tests_processed: int
    artifacts_uploaded: int
    webhooks_triggered: int


class SubmissionAccepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a submission (X-052)."""

    submission_id: str
    execution_id: str
    shard_id: str
    status: Literal["accepted"] = "accepted"
    processed_at: PrintedMoment
    summary: SubmissionSummary


NO_COUNTERS = Counters()
NO_METADATA = RunMetadata()
_artifacts = msgspec.json.Encoder()


def artifacts_text(artifacts: Artifacts | None) -> str | None:
    """The kinds that are not empty, as JSON text for the store; None if all are."""
    if artifacts is None or not artifacts.kinds():
        return None
    return _artifacts.encode(artifacts).decode()
