"""How an execution's state follows from its events, one after the other: pure, and the same at every replay."""

from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator.executions import leases
from orchestrator.executions.events import (
    AnyEvent,
    Cancelled,
    Completed,
    Created,
    Failed,
    Leased,
    PlanCreated,
    Progressed,
    Released,
    ShardEnded,
    ShardStarted,
    Started,
    Streamed,
)
from orchestrator.executions.model import Execution, ExecutionStatus, Shard, ShardStatus, Totals
from orchestrator.executions.plan import Deal, Plan, first_deal


def evolve(execution: Execution | None, event: AnyEvent) -> Execution:
    """The state after an event, its `seq` one higher."""
    if isinstance(event, Created):
        return _created(event)
    if execution is None:
        message = "the first event of an execution is its creation"
        raise ValueError(message)
    fold: Callable[[Execution, Any], Execution] = FOLDS[type(event)]
    return msgspec.structs.replace(fold(execution, event), seq=execution.seq + 1)


def apply(execution: Execution | None, events: tuple[AnyEvent, ...]) -> Execution | None:
    """The state after some events."""
    state = execution
    for event in events:
        state = evolve(state, event)
    return state


def _created(event: Created) -> Execution:
    return Execution(
        execution_id=event.execution_id,
        tenant_id=event.tenant_id,
        test_suite=event.test_suite,
        environment=event.environment,
        provider=event.provider,
        trigger_source=event.trigger_source,
        configuration=event.configuration,
        metadata=event.metadata,
        base_url=event.base_url,
        created_at=event.at,
        shards=tuple(Shard(str(number)) for number in range(1, event.configuration.shards + 1)),
        deadline=event.deadline,
        seq=1,
    )


def _fold_started(execution: Execution, event: Started) -> Execution:
    return msgspec.structs.replace(
        execution, status=ExecutionStatus.RUNNING, started_at=event.at, deadline=event.deadline
    )


def _fold_progressed(execution: Execution, _event: Progressed) -> Execution:
    return execution


def _fold_shard_started(execution: Execution, event: ShardStarted) -> Execution:
    shard = execution.shards[int(event.shard_id) - 1]
    running = msgspec.structs.replace(shard, status=ShardStatus.RUNNING, started_at=event.at)
    return msgspec.structs.replace(execution, shards=execution.with_shard(running))


def _fold_shard_ended(execution: Execution, event: ShardEnded) -> Execution:
    shard = execution.shards[int(event.shard_id) - 1]
    ended = Shard(
        shard_id=shard.shard_id,
        status=event.status,
        totals=event.totals,
        submission_id=event.submission_id,
        digest=event.digest,
        attempts=shard.attempts if event.closes_stream else shard.attempts + 1,
        started_at=event.started_at,
        ended_at=event.at,
        duration_ms=event.duration_ms,
        is_streamed=shard.is_streamed and event.closes_stream,
    )
    deal = execution.deal
    if deal is not None and not event.closes_stream:
        deal = leases.listed(deal, int(event.shard_id), event.reported, event.unexpected)
    if execution.plan is not None and deal is not None:
        deal = leases.closed(execution.plan, deal, int(event.shard_id))
    return msgspec.structs.replace(
        execution, shards=execution.with_shard(ended), frames=execution.frames + event.frames, deal=deal
    )


def _fold_plan_created(execution: Execution, event: PlanCreated) -> Execution:
    return msgspec.structs.replace(execution, plan=event.plan, deal=first_deal(event.plan))


def _fold_leased(execution: Execution, event: Leased) -> Execution:
    return msgspec.structs.replace(execution, deal=leases.seated(*_dealt(execution), event.lease))


def _fold_released(execution: Execution, event: Released) -> Execution:
    retries = execution.configuration.retries
    return msgspec.structs.replace(execution, deal=leases.released(*_dealt(execution), event.lease, event.why, retries))


def _fold_streamed(execution: Execution, event: Streamed) -> Execution:
    """The first piece of a stream is a new submission, to which the others are added."""
    shard = execution.shards[int(event.shard_id) - 1]
    is_first = not shard.is_streamed
    grown = msgspec.structs.replace(
        shard,
        submission_id=event.submission_id,
        digest=None,
        totals=(Totals() if is_first else shard.totals) + event.totals,
        attempts=shard.attempts + is_first,
        is_streamed=True,
    )
    _, deal = _dealt(execution)
    return msgspec.structs.replace(
        execution,
        shards=execution.with_shard(grown),
        frames=execution.frames + event.frames,
        deal=leases.reported(deal, int(event.shard_id), event.reported, event.unexpected),
    )


def _dealt(execution: Execution) -> tuple[Plan, Deal]:
    if execution.plan is None or execution.deal is None:
        raise ValueError("tests are dealt out of a plan")
    return execution.plan, execution.deal


def _fold_completed(execution: Execution, event: Completed) -> Execution:
    """Shards without a report are lost if others reported; else the runner spoke for all of them."""
    rest = ShardStatus.LOST if event.lost else ShardStatus.COMPLETED
    ended = _ended(execution, ExecutionStatus.COMPLETED, event, rest)
    return msgspec.structs.replace(ended, announced=event.announced)


def _fold_failed(execution: Execution, event: Failed) -> Execution:
    """Silent shards are lost at a deadline; after a failure that was reported, nobody waits for the rest."""
    rest = ShardStatus.LOST if event.lost or event.missing else ShardStatus.CANCELLED
    return _ended(execution, ExecutionStatus.FAILED, event, rest)


def _fold_cancelled(execution: Execution, event: Cancelled) -> Execution:
    return _ended(execution, ExecutionStatus.CANCELLED, event, ShardStatus.CANCELLED)


def _ended(
    execution: Execution, status: ExecutionStatus, event: Completed | Failed | Cancelled, rest: ShardStatus
) -> Execution:
    shards = tuple(
        msgspec.structs.replace(shard, status=rest, ended_at=event.at) if shard.is_open else shard
        for shard in execution.shards
    )
    deal = execution.deal
    return msgspec.structs.replace(
        execution,
        status=status,
        shards=shards,
        deal=None if deal is None else msgspec.structs.replace(deal, leases=()),
        ended_at=event.at,
        deadline=None,
        reason_code=event.reason_code,
        reason=event.reason,
    )


FOLDS: dict[type[AnyEvent], Callable[[Execution, Any], Execution]] = {
    Started: _fold_started,
    Progressed: _fold_progressed,
    PlanCreated: _fold_plan_created,
    Leased: _fold_leased,
    Released: _fold_released,
    Streamed: _fold_streamed,
    ShardStarted: _fold_shard_started,
    ShardEnded: _fold_shard_ended,
    Completed: _fold_completed,
    Failed: _fold_failed,
    Cancelled: _fold_cancelled,
}
