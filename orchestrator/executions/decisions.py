"""What all rules of the machine share: the answer they give, and how a start and an end follow from an event."""

from datetime import datetime, timedelta

import msgspec

from orchestrator.errors import FieldError
from orchestrator.executions.commands import Claimed, Order, Refusal
from orchestrator.executions.events import AnyEvent, Completed, Failed, Released, ShardEnded, Started
from orchestrator.executions.evolution import evolve
from orchestrator.executions.leases import Release
from orchestrator.executions.model import Execution, ExecutionStatus, ReasonCode, Shard, ShardStatus

FRAME_TESTS = 200
"""Tests in one `tests` frame of the live protocol at the most."""

_NAMED_SHARDS = 20


class Decision(msgspec.Struct, frozen=True):
    """What a command makes happen.

    Attributes:
        events: in order; none where nothing changes.
        refusal: why it is not carried out.
        late: the command's results are kept as a late submission, though they do not count.
        submission_id: the submission that holds the results sent, the former one for a repetition.
        first_frame: number of the first `tests` frame of a new submission.
        renewed: number of the lease whose holder has shown that it lives.
        outcomes: as in `Receipt`; for `Submit`, where only some of its tests count.
        claimed, order, returned, others: as in `Receipt`.
    """

    events: tuple[AnyEvent, ...] = ()
    refusal: Refusal | None = None
    late: bool = False
    submission_id: str | None = None
    first_frame: int | None = None
    renewed: int | None = None
    claimed: Claimed | None = None
    order: Order | None = None
    outcomes: str = ""
    returned: int = 0
    others: int = 0


NOTHING = Decision()


def frames_of(tests: int) -> int:
    """How many `tests` frames a submission of so many tests has."""
    return -(-tests // FRAME_TESTS)


def after(execution: Execution, events: tuple[AnyEvent, ...]) -> Execution:
    """The state after some events."""
    for event in events:
        execution = evolve(execution, event)
    return execution


def start_if_created(execution: Execution, at: datetime, now: datetime) -> tuple[AnyEvent, ...]:
    """The start of an execution that has not started, as the first word of a runner makes it."""
    if execution.status is ExecutionStatus.CREATED:
        return (started(execution, at, now),)
    return ()


def started(execution: Execution, at: datetime, now: datetime) -> Started:
    """The start of an execution, and its deadline from now on."""
    return Started(at=at, deadline=now + timedelta(milliseconds=execution.configuration.timeout))


def end_shard(execution: Execution, ended: ShardEnded, begun: datetime, now: datetime) -> tuple[AnyEvent, ...]:
    """The end of a shard: before it the start of its execution and the end of its lease, after it what follows."""
    events = (*start_if_created(execution, begun, now), *_release_seat(execution, ended, now), ended)
    state = after(execution, events)
    return (*events, *end_if_decided(state, now, broken=ended))


def _release_seat(execution: Execution, ended: ShardEnded, now: datetime) -> tuple[AnyEvent, ...]:
    """A shard that has ended has no runner any more."""
    lease = None if execution.deal is None else execution.deal.lease_in(int(ended.shard_id))
    return () if lease is None else (Released(at=now, lease=lease, why=Release.DONE),)


def end_if_decided(execution: Execution, now: datetime, *, broken: ShardEnded | None = None) -> tuple[AnyEvent, ...]:
    """A shard in error fails the execution at once; the last shard to end completes it (X-063, X-064).

    Shards that nobody has to run any more, because all tests of the plan are reported or given up, end with it.
    """
    if execution.is_finished:
        return ()
    at = not_before_start(execution, now)
    if broken is not None and broken.status is ShardStatus.ERROR:
        reason = f"Shard {broken.shard_id} ended in error"
        return (Failed(at=at, reason_code=ReasonCode.SHARD_ERROR, reason=reason),)
    closed = _close_all(execution, at)
    state = after(execution, closed)
    if any(state.open_shards()):
        return ()
    return (*closed, completed(state, at))


def _close_all(execution: Execution, at: datetime) -> tuple[AnyEvent, ...]:
    deal = execution.deal
    if deal is None or deal.leases or deal.unsettled_tests:
        return ()
    return tuple(close(execution, shard, at) for shard in execution.open_shards())


def close(execution: Execution, shard: Shard, at: datetime) -> ShardEnded:
    """The end of a shard by what was streamed, where its runner does not close it any more."""
    missing = 0 if execution.deal is None else execution.deal.shards[int(shard.shard_id) - 1].missing
    if missing:
        reason = f"No retries are left for {missing} of its tests, whose runners fell silent"
        return closed_as(shard, ShardStatus.LOST, at, reason)
    status = ShardStatus.FAILED if shard.totals.failed else ShardStatus.COMPLETED
    return closed_as(shard, status, at)


def closed_as(shard: Shard, status: ShardStatus, at: datetime, reason: str | None = None) -> ShardEnded:
    """The end of a shard in a status, with what it has."""
    begun = shard.started_at
    return ShardEnded(
        at=at,
        shard_id=shard.shard_id,
        status=status,
        totals=shard.totals,
        started_at=begun,
        duration_ms=None if begun is None else max(0, round((at - begun).total_seconds() * 1000)),
        submission_id=shard.submission_id,
        digest=shard.digest,
        closes_stream=True,
        reason=reason,
    )


def completed(execution: Execution, at: datetime) -> Completed:
    """The end of an execution all of whose shards have ended: incomplete if a shard was lost, or tests are missing."""
    lost = tuple(shard.shard_id for shard in execution.shards if shard.status is ShardStatus.LOST)
    deal = execution.deal
    missing = 0 if deal is None else deal.planned - deal.reported.bit_count()
    if not (lost or missing):
        return Completed(at=at)
    words = [f"{shards(lost)} lost"] if lost else []
    words += [f"{missing} planned {'test' if missing == 1 else 'tests'} not reported"] if missing else []
    reason = "; ".join(words)
    return Completed(at=at, reason_code=ReasonCode.INCOMPLETE, reason=reason[0].upper() + reason[1:], lost=lost)


def not_before_start(execution: Execution, at: datetime) -> datetime:
    """Runners' clocks may differ from ours; an end never comes before its start."""
    return at if execution.started_at is None else max(at, execution.started_at)


def is_cancelled(execution: Execution) -> Refusal:
    """A refusal: it was called off."""
    return Refusal(
        code="CONFLICT", message=f"{execution.execution_id} was cancelled: {execution.reason}; stop its runners"
    )


def outside_plan(execution: Execution, field: str) -> Refusal:
    """A refusal: there is no such shard."""
    count = len(execution.shards)
    plan = 'is "1"' if count == 1 else f'are "1" to "{count}"'
    return Refusal(
        code="VALIDATION_ERROR",
        message="Request validation failed",
        details=(FieldError(field, f"Not in the plan of {execution.execution_id}: its shards {plan}"),),
    )


def shards(shard_ids: tuple[str, ...]) -> str:
    """Some shards in words."""
    if len(shard_ids) == 1:
        return f"shard {shard_ids[0]}"
    shown = ", ".join(shard_ids[:_NAMED_SHARDS])
    return f"shards {shown}" if len(shard_ids) <= _NAMED_SHARDS else f"{len(shard_ids)} shards ({shown}, …)"
