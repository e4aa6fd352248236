"""What happened to an execution; the order of its events is its history, which `evolution` folds into its state."""

from datetime import datetime

import msgspec

from orchestrator.executions.leases import Release
from orchestrator.executions.model import (
    Configuration,
    Environment,
    ReasonCode,
    ShardStatus,
    TestSuite,
    Totals,
    TriggerSource,
)
from orchestrator.executions.plan import Lease, Plan


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all events carry: `at`, the time printed for it."""

    at: datetime


class Created(Event, frozen=True, kw_only=True, tag="execution.created"):
    """It exists, with its shards planned."""

    execution_id: str
    tenant_id: int
    test_suite: TestSuite
    environment: Environment
    provider: str
    trigger_source: TriggerSource | None
    configuration: Configuration
    metadata: str | None
    base_url: str
    deadline: datetime


class Started(Event, frozen=True, kw_only=True, tag="execution.started"):
    """It runs, until `deadline` at the latest."""

    deadline: datetime


class Progressed(Event, frozen=True, kw_only=True, tag="execution.progress"):
    """A sign of life; `report` is JSON text of the runner's own words, None from the server."""

    report: str | None = None


class ShardStarted(Event, frozen=True, kw_only=True, tag="shard.started"):
    """A shard runs."""

    shard_id: str


class ShardEnded(Event, frozen=True, kw_only=True, tag="shard.completed"):
    """A shard has a new result, which replaces a former one. Without `submission_id` it is a runner's word alone.

    Attributes:
        closes_stream: its result is what was streamed, and nothing is replaced.
        reported, unexpected: which tests of the plan the result has, and fingerprints of those outside it.
        reason: why the shard was lost.
    """

    shard_id: str
    status: ShardStatus
    totals: Totals
    started_at: datetime | None
    duration_ms: int | None
    submission_id: str | None = None
    digest: bytes | None = None
    frames: int = 0
    closes_stream: bool = False
    reported: int = 0
    unexpected: frozenset[int] = frozenset()
    reason: str | None = None


class PlanCreated(Event, frozen=True, kw_only=True, tag="plan.created"):
    """It is settled which tests are run, and how they are dealt out."""

    plan: Plan


class Leased(Event, frozen=True, kw_only=True, tag="shard.claimed"):
    """A runner has claimed tests, or a seat, or more tests under the lease that it has."""

    lease: Lease


class Released(Event, frozen=True, kw_only=True, tag="shard.released"):
    """A lease has ended."""

    lease: Lease
    why: Release


class Streamed(Event, frozen=True, kw_only=True, tag="shard.progress"):
    """Tests of a running shard have ended.

    Attributes:
        submission_id: of the first piece of the shard's stream, which the following pieces belong to.
        totals: of these tests alone.
        reported, unexpected: as in `ShardEnded`.
    """

    shard_id: str
    submission_id: str
    totals: Totals
    frames: int
    reported: int
    unexpected: frozenset[int]


class Completed(Event, frozen=True, kw_only=True, tag="execution.completed"):
    """It ended; `announced` are a runner's totals of the whole, `lost` the shards that never reported."""

    reason_code: ReasonCode | None = None
    reason: str | None = None
    announced: Totals | None = None
    lost: tuple[str, ...] = ()


class Failed(Event, frozen=True, kw_only=True, tag="execution.failed"):
    """It ended badly. `lost`: shards that started and never reported; `missing`: those that never started."""

    reason_code: ReasonCode
    reason: str
    lost: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Cancelled(Event, frozen=True, kw_only=True, tag="execution.cancelled"):
    """It was called off."""

    reason_code: ReasonCode
    reason: str


AnyEvent = (
    Created
    | Started
    | Progressed
    | PlanCreated
    | Leased
    | Released
    | Streamed
    | ShardStarted
    | ShardEnded
    | Completed
    | Failed
    | Cancelled
)


def name(event: AnyEvent) -> str:
    """The documented name, such as `shard.completed`."""
    return str(event.__struct_config__.tag)
