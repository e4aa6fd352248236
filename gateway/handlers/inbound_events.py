"""What runners tell of their executions."""

from typing import Any

from gateway.calls import Call
from gateway.wire import inbound_events as wire
from gateway.wire import reading
from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.executions.commands import (
    AnyCommand,
    Cancel,
    Complete,
    Fail,
    ReportProgress,
    ReportShard,
    Start,
    StartShard,
)
from orchestrator.executions.model import ShardStatus

FAILED_BY_RUNNER = "Reported as failed by its runner"
CANCELLED_BY_RUNNER = "Cancelled by its runner"


async def receive(call: Call[wire.AnyInboundEvent, None]) -> wire.EventAccepted:
    """Take an event; one that was told before is accepted and changes nothing (X-050)."""
    event, execution_id = call.body, call.principal.subject
    if event.execution_id not in (None, execution_id):
        raise ValidationFailed(FieldError("executionId", f"Must be that of the path, {execution_id}"))
    marks = call.marks()
    common = {
        "command_id": marks.command_id,
        "tenant_id": call.principal.tenant_id,
        "execution_id": execution_id,
        "may_repeat": marks.may_repeat,
        "fingerprint": marks.fingerprint,
    }
    receipt = await call.services.mailbox.send(command_of(event, call.raw, common))
    return wire.EventAccepted(
        applied=receipt.applied,
        execution_id=execution_id,
        event=str(event.__struct_config__.tag),
        status=receipt.status,
    )


def command_of(  # noqa: PLR0911 - one case an event
    event: wire.AnyInboundEvent, raw: bytes, common: dict[str, Any]
) -> AnyCommand:
    """The command that an event stands for.

    Args:
        event: what was told.
        raw: the body it came in.
        common: the fields that all commands have.
    """
    match event:
        case wire.StartedEvent():
            return Start(**common, at=event.at)
        case wire.ProgressEvent():
            return ReportProgress(**common, at=event.at, report=reading.data_text(raw) or "null")
        case wire.ShardStartedEvent():
            return StartShard(**common, at=event.at, shard_id=str(event.data.shard_id))
        case wire.ShardCompletedEvent():
            status = ShardStatus(event.data.status or ShardStatus.COMPLETED)
            totals = wire.totals(event.data.results)
            return ReportShard(**common, at=event.at, shard_id=str(event.data.shard_id), status=status, totals=totals)
        case wire.CompletedEvent():
            return Complete(**common, at=event.at, totals=wire.totals(event.data.results if event.data else None))
        case wire.FailedEvent():
            return Fail(**common, at=event.at, reason=_reason(event.data) or FAILED_BY_RUNNER)
        case wire.CancelledEvent():
            return Cancel(**common, by_runner=True, reason=_reason(event.data) or CANCELLED_BY_RUNNER)


def _reason(data: wire.ReasonData | None) -> str | None:
    return None if data is None else data.reason or data.error
