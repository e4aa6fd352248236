"""Executions on the wire: how they are asked for, and how they are printed (X-006 to X-028)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.wire.moments import PrintedMoment, Timestamp, check
from orchestrator.executions import links
from orchestrator.executions.model import (
    MAX_SHARDS,
    Browser,
    Configuration,
    Environment,
    Execution,
    ExecutionStatus,
    ReasonCode,
    Shard,
    ShardStatus,
    TestSuite,
    Totals,
    TriggerSource,
)
from orchestrator.executions.plan import Deal, PlanMode
from orchestrator.jobs.template import LONGEST_VALUE
from orchestrator.timestamps import to_text, to_text_or_none
from storage.executions import Result

WEEK_MS = 7 * 24 * 3600 * 1000
MOST_RETRIES = 100
MOST_BROWSERS = 16

Provider = Annotated[str, Meta(min_length=1, max_length=200)]
ShardCount = Annotated[int, Meta(ge=1, le=MAX_SHARDS)]
TimeoutMs = Annotated[int, Meta(ge=1, le=WEEK_MS, description="milliseconds")]
Retries = Annotated[int, Meta(ge=0, le=MOST_RETRIES)]
Browsers = Annotated[list[Browser], Meta(max_length=MOST_BROWSERS)]
Reason = Annotated[str, Meta(min_length=1, max_length=1000)]
SearchText = Annotated[str, Meta(max_length=255)]
PageSize = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[str, Meta(max_length=1000, description="`nextCursor` of the page before")]


class NewConfiguration(msgspec.Struct, frozen=True, rename="camel"):
    """How it is to be run; what is not given has a default (X-016)."""

    browsers: Browsers | None = None
    parallel: bool | None = None
    shards: ShardCount | None = None
    timeout: TimeoutMs | None = None
    retries: Retries | None = None

    def settled(self) -> Configuration:
        """With the defaults filled in."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return Configuration(**given | {"browsers": tuple(self.browsers or ())})


class RunJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which registered job the server is to run in the shards, with the provider `managed`."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    parameters: dict[str, Annotated[str, Meta(max_length=LONGEST_VALUE)]] | None = None


class CreateExecution(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a creation (X-006). `metadata` is free; `branch` and `commit` in it can be searched for."""

    test_suite: TestSuite
    environment: Environment
    provider: Provider
    trigger_source: TriggerSource | None = None
    configuration: NewConfiguration | None = None
    metadata: dict[str, Any] | None = None
    job: RunJob | None = None


class CreatedConfiguration(msgspec.Struct, frozen=True, rename="camel"):
    """What of the configuration a creation answers."""

    test_suite: TestSuite
    environment: Environment
    shards: int
    timeout: int


class ExecutionCreated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a creation."""

    execution_id: str
    status: ExecutionStatus
    created_at: PrintedMoment
    configuration: CreatedConfiguration
    webhook_url: str
    webhook_token: str


class CancelExecution(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a cancellation, which may be left out."""

    reason: Reason | None = None


class ExecutionCancelled(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a cancellation (X-027)."""

    execution_id: str
    status: ExecutionStatus
    cancelled_at: PrintedMoment
    reason: str


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far it is (X-020); `duration` in milliseconds."""

    started_at: PrintedMoment | None
    completed_at: PrintedMoment | None
    duration: int | None
    shards_completed: int
    total_shards: int


class PlanState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far an execution's plan is worked off, in tests; durations in milliseconds."""

    mode: PlanMode
    planned: int
    reported: int
    missing: int
    unexpected: int
    expected_duration: int
    remaining_duration: int
    leases: int


class ShardPlanState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a shard has of the plan, in tests, and which runner has its lease."""

    planned: int
    reported: int
    missing: int
    unexpected: int
    runner_id: str | None


class ShardResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One shard as it stands (X-022)."""

    shard_id: str
    status: ShardStatus
    results: Totals
    started_at: PrintedMoment | None
    completed_at: PrintedMoment | None
    duration: int | None
    attempts: int
    plan: ShardPlanState | msgspec.UnsetType = msgspec.UNSET


class ArtifactLinks(msgspec.Struct, frozen=True, rename="camel"):
    """Where to look (X-023)."""

    report_url: str
    logs_url: str
    artifacts_url: str


class FullConfiguration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The configuration with its defaults."""

    shards: int
    timeout: int
    retries: int
    parallel: bool
    browsers: tuple[Browser, ...]


class ExecutionState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An execution as GET and live snapshots print it (X-018)."""

    execution_id: str
    status: ExecutionStatus
    progress: Progress
    results: Totals
    shard_results: list[ShardResult]
    artifacts: ArtifactLinks
    test_suite: TestSuite
    environment: Environment
    provider: str
    trigger_source: TriggerSource | None
    configuration: FullConfiguration
    metadata: msgspec.Raw
    created_at: PrintedMoment
    deadline: PrintedMoment | None
    reason: str | None
    reason_code: ReasonCode | None
    seq: int
    plan: PlanState | msgspec.UnsetType = msgspec.UNSET


class ExecutionPage(msgspec.Struct, frozen=True, rename="camel"):
    """Executions, newest first."""

    executions: list[ExecutionState]
    next_cursor: str | None


class ExecutionQuery(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"test_suite": "testSuite", "has_ended": "ended", "created_from": "from", "created_before": "to"},
):
    """Which executions to list; `from` is included, `to` is not.

    `result=failing` lists those that completed with failed tests or incomplete, or could not be carried out;
    `result=passing` the others that completed.
    """

    test_suite: TestSuite | None = None
    environment: Environment | None = None
    status: ExecutionStatus | None = None
    has_ended: bool | None = None
    result: Result | None = None
    branch: SearchText | None = None
    commit: SearchText | None = None
    created_from: Timestamp | None = None
    created_before: Timestamp | None = None
    limit: PageSize = 50
    cursor: Cursor | None = None

    def __post_init__(self) -> None:
        check((self.created_from, self.created_before))


def printed(execution: Execution) -> ExecutionState:
    """The one form of an execution that all readers get."""
    configuration = execution.configuration
    return ExecutionState(
        execution_id=execution.execution_id,
        status=execution.status,
        progress=Progress(
            started_at=to_text_or_none(execution.started_at),
            completed_at=to_text_or_none(execution.ended_at),
            duration=execution.duration_ms,
            shards_completed=execution.shards_ended,
            total_shards=len(execution.shards),
        ),
        results=execution.totals,
        shard_results=[printed_shard(shard, execution.deal) for shard in execution.shards],
        artifacts=ArtifactLinks(
            links.report(execution.base_url, execution.execution_id),
            links.logs(execution.base_url, execution.execution_id),
            links.artifacts(execution.base_url, execution.execution_id),
        ),
        test_suite=execution.test_suite,
        environment=execution.environment,
        provider=execution.provider,
        trigger_source=execution.trigger_source,
        configuration=FullConfiguration(
            shards=configuration.shards,
            timeout=configuration.timeout,
            retries=configuration.retries,
            parallel=configuration.parallel,
            browsers=configuration.browsers,
        ),
        metadata=msgspec.Raw((execution.metadata or "null").encode()),
        created_at=to_text(execution.created_at),
        deadline=to_text_or_none(execution.deadline),
        reason=execution.reason,
        reason_code=execution.reason_code,
        seq=execution.seq,
        plan=printed_plan(execution),
    )


def printed_plan(execution: Execution) -> PlanState | msgspec.UnsetType:
    """How far its plan is worked off; left out where there is none."""
    deal = execution.deal
    if deal is None:
        return msgspec.UNSET
    return PlanState(
        mode=deal.mode,
        planned=deal.planned,
        reported=deal.reported.bit_count(),
        missing=execution.missing_tests,
        unexpected=len(deal.unexpected),
        expected_duration=round(deal.expected_ms),
        remaining_duration=0 if execution.is_finished else round(deal.remaining_ms),
        leases=len(deal.leases),
    )


def _shard_plan(shard: Shard, deal: Deal | None) -> ShardPlanState | msgspec.UnsetType:
    if deal is None:
        return msgspec.UNSET
    number = int(shard.shard_id)
    lease, mine = deal.lease_in(number), deal.shards[number - 1]
    return ShardPlanState(
        planned=mine.planned,
        reported=mine.reported,
        missing=mine.missing,
        unexpected=mine.unexpected,
        runner_id=None if lease is None else lease.runner_id,
    )


def printed_shard(shard: Shard, deal: Deal | None = None) -> ShardResult:
    """A shard as it is printed wherever it is."""
    return ShardResult(
        shard_id=shard.shard_id,
        status=shard.status,
        results=shard.totals,
        started_at=to_text_or_none(shard.started_at),
        completed_at=to_text_or_none(shard.ended_at),
        duration=shard.duration_ms,
        attempts=shard.attempts,
        plan=_shard_plan(shard, deal),
    )
