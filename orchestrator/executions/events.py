"""What happened to an execution; the order of its events is its history, which `evolution` folds into its state."""

from datetime import datetime

import msgspec

from orchestrator.executions.model import (
    Configuration,
    Environment,
    ReasonCode,
    ShardStatus,
    TestSuite,
    Totals,
    TriggerSource,
)


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
    """A shard has a new result, which replaces a former one. Without `submission_id` it is a runner's word alone."""

    shard_id: str
    status: ShardStatus
    totals: Totals
    started_at: datetime | None
    duration_ms: int | None
    submission_id: str | None = None
    digest: bytes | None = None
    frames: int = 0


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


AnyEvent = Created | Started | Progressed | ShardStarted | ShardEnded | Completed | Failed | Cancelled


def name(event: AnyEvent) -> str:
    """The documented name, such as `shard.completed`."""
    return str(event.__struct_config__.tag)
