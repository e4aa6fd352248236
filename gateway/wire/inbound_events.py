"""What a runner tells of its execution with the webhook token (X-043 to X-050): one struct an event."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.wire.executions import Reason
from gateway.wire.moments import Timestamp, check
from gateway.wire.results import Counters, ExecutionId, ReportedStatus, ShardId
from orchestrator.executions.model import ExecutionStatus, Totals, settle

ShortText = Annotated[str, Meta(max_length=1000)]


class InboundEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="event"):
    """What all have. `executionId` may be left out; where it is given it is the path's (X-045)."""

    timestamp: Timestamp
    execution_id: ExecutionId | None = None

    def __post_init__(self) -> None:
        check((self.timestamp,))

    @property
    def at(self) -> datetime:
        """When it happened, by the runner's clock."""
        return self.timestamp


class StartedEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="execution.started"):
    """The execution begins; its `data` is for readers of logs."""

    data: dict[str, Any] | None = None


class ProgressEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="execution.progress"):
    """A sign of life; its `data` is passed on."""

    data: dict[str, Any] | None = None


class ShardStartedData(msgspec.Struct, frozen=True, rename="camel"):
    """Which shard begins."""

    shard_id: ShardId


class ShardStartedEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="shard.started"):
    """A shard begins."""

    data: ShardStartedData


class ShardCompletedData(msgspec.Struct, frozen=True, rename="camel"):
    """Which shard ended, and how; without counters its submitted results stand."""

    shard_id: ShardId
    status: ReportedStatus | None = None
    results: Counters | None = None


class ShardCompletedEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="shard.completed"):
    """A shard ended."""

    data: ShardCompletedData


class ExecutionCompletedData(msgspec.Struct, frozen=True, rename="camel"):
    """Counters of the whole, used while no shard has any (X-047, X-048)."""

    results: Counters | None = None


class CompletedEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="execution.completed"):
    """The execution ended."""

    data: ExecutionCompletedData | None = None


class ReasonData(msgspec.Struct, frozen=True, rename="camel"):
    """Why."""

    reason: Reason | None = None
    error: ShortText | None = None


class FailedEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="execution.failed"):
    """Something broke that no shard can report."""

    data: ReasonData | None = None


class CancelledEvent(InboundEvent, frozen=True, kw_only=True, rename="camel", tag="execution.cancelled"):
    """The runner was called off."""

    data: ReasonData | None = None


AnyInboundEvent = (
    StartedEvent
    | ProgressEvent
    | ShardStartedEvent
    | ShardCompletedEvent
    | CompletedEvent
    | FailedEvent
    | CancelledEvent
)


class EventAccepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer. `applied`: whether it changed anything; an event told before does not."""

    accepted: bool = True
    applied: bool
    execution_id: str
    event: str
    status: ExecutionStatus


def totals(counters: Counters | None) -> Totals | None:
    """Counters of a whole, those missing 0; None where none was sent."""
    if counters is None or counters.sent().is_empty():
        return None
    return settle(counters.sent(), Totals())
