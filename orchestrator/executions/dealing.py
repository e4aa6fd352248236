"""The rules of plans and leases: who gets which tests, what a silent runner loses, and how streamed results count.

They are rows of the machine's table (`machine.RULES`), in a module of their own.
"""

from datetime import datetime

from orchestrator.executions import leases, streams
from orchestrator.executions.commands import (
    Beat,
    Claim,
    Claimed,
    ClaimState,
    HandBack,
    Lapse,
    MakePlan,
    Order,
    Placed,
    Refusal,
    Stream,
)
from orchestrator.executions.decisions import (
    NOTHING,
    Decision,
    after,
    close,
    closed_as,
    end_if_decided,
    frames_of,
    outside_plan,
    start_if_created,
)
from orchestrator.executions.events import AnyEvent, Leased, PlanCreated, Released, ShardStarted, Streamed
from orchestrator.executions.leases import Release
from orchestrator.executions.model import Execution, ExecutionStatus, Shard, ShardStatus
from orchestrator.executions.plan import Deal, Lease, Plan, PlanMode, is_open, open_places

SHORTEST_WAIT = 0.25
LONGEST_WAIT = 5.0
"""Seconds after which a runner that waits asks again: soon where few wait, for they hold up the end of the run."""

_WAIT_EACH = 0.01


def make_plan(execution: Execution, command: MakePlan, now: datetime) -> Decision:
    """The first plan is frozen; who comes later has it told."""
    if execution.deal is not None:
        return NOTHING
    return Decision(events=(PlanCreated(at=now, plan=command.plan),))


def refuse_plan(execution: Execution, _command: MakePlan, _now: datetime) -> Decision:
    """Nothing is planned for what has ended; but who asks again is told the plan that there is."""
    if execution.deal is not None:
        return NOTHING
    message = f"{execution.execution_id} is {execution.status} already; nothing can be planned"
    return Decision(refusal=Refusal(code="CONFLICT", message=message))


def claim(execution: Execution, command: Claim, now: datetime) -> Decision:
    """A runner has one lease at a time, so that a repeated question gets the same answer."""
    plan, deal = execution.plan, execution.deal
    if plan is None or deal is None:
        return Decision(refusal=_without_plan(execution))
    wanted = None
    if command.shard_id is not None:
        shard = execution.shard(command.shard_id)
        if shard is None:
            return Decision(refusal=outside_plan(execution, "shardId"))
        wanted = int(shard.shard_id)
    mine = deal.lease_of(command.runner_id)
    if mine is None or not any(is_open(plan, deal, unit) for unit in mine.units):
        return _next_lease(execution, command.runner_id, mine, wanted, (), now)
    if command.done == mine.number:
        given_up = (Released(at=now, lease=mine, why=Release.DONE),)
        return _next_lease(execution, command.runner_id, mine, wanted, given_up, now)
    grown = leases.grown(plan, deal, mine) if command.ahead else None
    if grown is not None:
        return _given(execution, (Leased(at=now, lease=grown),), grown, wanted)
    return _given(execution, (), mine, wanted)


def _next_lease(
    execution: Execution,
    runner_id: str,
    mine: Lease | None,
    wanted: int | None,
    events: tuple[AnyEvent, ...],
    now: datetime,
) -> Decision:
    """What a runner gets that has nothing to run.

    Args:
        execution: before `events`.
        runner_id: who asks.
        mine: the lease it has or had, whose seat it keeps, unless it is needed in another.
        wanted: the only shard that will do.
        events: what has happened so far.
        now: the time.
    """
    state = after(execution, events)
    plan, deal = _dealt(state)
    seat = leases.free_shard(plan, deal, state.shards, wanted) if mine is None else mine.shard
    if seat is None:
        return _given(execution, events, None, wanted)
    units = leases.batch(plan, deal, seat)
    if not units and mine is not None:
        other = None if wanted is not None else _to_take_over(state, mine)
        if other is None and not events:
            return _given(execution, (), mine, wanted)
        if other is not None:
            seat, units = other, leases.batch(plan, deal, other)
    if mine is not None:
        events = events or (Released(at=now, lease=mine, why=Release.DONE),)
        if seat != mine.shard:
            events = (*events, *_end_if_through(after(execution, events), mine.shard, now))
    lapses = dict(deal.lapses)
    attempt = 1 + max((lapses.get(unit, 0) for unit in units), default=0)
    lease = Lease(deal.last_lease + 1, seat, runner_id, units, attempt)
    events = (*start_if_created(execution, now, now), *events)
    if state.shards[seat - 1].status is ShardStatus.PENDING:
        events = (*events, ShardStarted(at=now, shard_id=str(seat)))
    return _given(execution, (*events, Leased(at=now, lease=lease)), lease, wanted)


def _to_take_over(execution: Execution, mine: Lease) -> int | None:
    """Another shard for a runner that is through with its own, and has told all of it."""
    plan, deal = _dealt(execution)
    if deal.shards[mine.shard - 1].planned and not execution.shards[mine.shard - 1].is_streamed:
        return None
    return leases.shard_to_take_over(plan, deal, execution.shards)


def _end_if_through(execution: Execution, number: int, now: datetime) -> tuple[AnyEvent, ...]:
    """The end of a shard in which nobody has anything left to do."""
    shard = execution.shards[number - 1]
    if shard.is_open and shard.is_streamed and leases.is_through(*_dealt(execution), number):
        return (close(execution, shard, now),)
    return ()


def _given(execution: Execution, events: tuple[AnyEvent, ...], lease: Lease | None, wanted: int | None) -> Decision:
    state = after(execution, events)
    plan, deal = _dealt(state)
    places = () if lease is None else tuple(open_places(plan, deal, lease.units))
    answer = ClaimState.WAIT if _may_get_more(state, lease, wanted) else ClaimState.DONE
    if places:
        answer = ClaimState.LEASED
    waiting = sum(not one.units for one in deal.leases)
    claimed = Claimed(
        state=answer,
        lease=None if lease is None else lease.number,
        shard_id=None if lease is None else str(lease.shard),
        attempt=1 if lease is None else lease.attempt,
        places=places,
        unsettled=deal.unsettled_tests,
        retry_after=min(LONGEST_WAIT, max(SHORTEST_WAIT, waiting * _WAIT_EACH)) if answer is ClaimState.WAIT else None,
    )
    return Decision(events=events, claimed=claimed, renewed=None if lease is None else lease.number)


def _may_get_more(execution: Execution, lease: Lease | None, wanted: int | None) -> bool:
    """Whether tests may still come to a runner that has none: another's lease may lapse."""
    plan, deal = _dealt(execution)
    if wanted is not None and plan.mode is PlanMode.STATIC:
        return lease is None and execution.shards[wanted - 1].is_open
    return deal.unsettled_tests > 0


def claim_of_ended(execution: Execution, _command: Claim, _now: datetime) -> Decision:
    """There is nothing more to run."""
    if execution.deal is None:
        return Decision(refusal=_without_plan(execution))
    state = ClaimState.DONE if execution.status is ExecutionStatus.COMPLETED else ClaimState.CANCELLED
    return Decision(claimed=Claimed(state=state))


def beat(execution: Execution, command: Beat, _now: datetime) -> Decision:
    """A heartbeat renews the lease, and carries back what its runner is to do."""
    if _held(execution, command.lease, command.runner_id) is None:
        return Decision(order=Order.ABANDON)
    return Decision(order=Order.CONTINUE, renewed=command.lease)


def beat_of_ended(_execution: Execution, _command: Beat, _now: datetime) -> Decision:
    """Nobody waits for the runner any more."""
    return Decision(order=Order.CANCEL)


def hand_back(execution: Execution, command: HandBack, now: datetime) -> Decision:
    """What a runner gives back goes to others at once, and is not held against its tests."""
    lease = _held(execution, command.lease, command.runner_id)
    if lease is None:
        return NOTHING if execution.deal is None else Decision(others=_others(execution.deal, command.runner_id))
    plan, deal = _dealt(execution)
    returned = len(open_places(plan, deal, lease.units))
    events = _release(execution, lease, Release.HANDED_BACK, now)
    return Decision(events=events, returned=returned, others=_others(deal, command.runner_id))


def _others(deal: Deal, runner_id: str) -> int:
    """How many leases other runners have."""
    return sum(lease.runner_id != runner_id for lease in deal.leases)


def lapse(execution: Execution, command: Lapse, now: datetime) -> Decision:
    """A silent runner loses its lease."""
    lease = None if execution.deal is None else execution.deal.lease(command.lease)
    if lease is None:
        return NOTHING
    return Decision(events=_release(execution, lease, Release.LAPSED, now))


def _release(execution: Execution, lease: Lease, why: Release, now: datetime) -> tuple[AnyEvent, ...]:
    """The end of a lease; that of its shard, if tests are lost with it or nothing is left to do in it; what follows."""
    released = Released(at=now, lease=lease, why=why)
    state = after(execution, (released,))
    plan, deal = _dealt(state)
    shard = state.shards[lease.shard - 1]
    lost = (deal.missing & ~_dealt(execution)[1].missing).bit_count()
    events: tuple[AnyEvent, ...] = (released,)
    if shard.is_open and lost and not leases.is_needed(plan, deal, state.shards, lease.shard):
        reason = f"Runner {lease.runner_id} fell silent, and no retries are left for {lost} of its tests"
        events = (released, closed_as(shard, ShardStatus.LOST, now, reason))
    else:
        events = (released, *_end_if_through(state, lease.shard, now))
    return (*events, *end_if_decided(after(execution, events), now))


def may_end(execution: Execution, shard_id: str, runner_id: str | None) -> bool:
    """Whether a runner's word on a shard counts: a former holder's does not. One that names no runner is trusted."""
    if execution.deal is None or runner_id is None:
        return True
    lease = execution.deal.lease_in(int(shard_id))
    return lease is not None and lease.runner_id == runner_id


def stream(execution: Execution, command: Stream, now: datetime) -> Decision:
    """The first report of each test counts, from whoever has the lease; a former holder's is kept as late."""
    if execution.deal is None:
        return Decision(refusal=_without_plan(execution))
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=outside_plan(execution, "shardId"))
    lease = _held(execution, command.lease, command.runner_id)
    if lease is None or lease.shard != int(shard.shard_id):
        return _late(command, Order.ABANDON)
    outcomes = streams.taken(execution.deal, command.placed)
    events = streamed(shard, command.placed, command.tests, outcomes, command.submission_id, now)
    if not events:
        return Decision(order=Order.CONTINUE, outcomes=outcomes, renewed=lease.number)
    return Decision(
        events=events,
        order=Order.CONTINUE,
        outcomes=outcomes,
        renewed=lease.number,
        submission_id=command.submission_id,
        first_frame=execution.frames + 1,
    )


def streamed(
    shard: Shard, placed: Placed, tests: str, outcomes: str, submission_id: str, now: datetime
) -> tuple[AnyEvent, ...]:
    """The tests that are accepted are added to a shard; nothing happens where none is.

    Args:
        shard: that they belong to.
        placed: where they stand in the plan.
        tests: a letter for each, how it ended.
        outcomes: a letter for each, how it is taken.
        submission_id: of the first of a shard.
        now: the time.
    """
    fresh = streams.chosen(placed, outcomes)
    if not fresh.places:
        return ()
    letters = streams.accepted(tests, outcomes)
    event = Streamed(
        at=now,
        shard_id=shard.shard_id,
        submission_id=(shard.is_streamed and shard.submission_id) or submission_id,
        totals=streams.count(letters),
        frames=frames_of(len(letters)),
        reported=streams.planned(fresh),
        unexpected=streams.unplanned(fresh),
    )
    return (event,)


def stream_to_ended(execution: Execution, command: Stream, _now: datetime) -> Decision:
    """What comes after the end is kept, and counts no more."""
    if execution.deal is None:
        return Decision(refusal=_without_plan(execution))
    if execution.shard(command.shard_id) is None:
        return Decision(refusal=outside_plan(execution, "shardId"))
    return _late(command, Order.CANCEL)


def _late(command: Stream, order: Order) -> Decision:
    return Decision(late=True, order=order, outcomes=streams.Taken.LATE.letter * len(command.tests))


def _held(execution: Execution, number: int, runner_id: str) -> Lease | None:
    """A lease, as long as this runner has it."""
    lease = None if execution.deal is None else execution.deal.lease(number)
    return lease if lease is not None and lease.runner_id == runner_id else None


def _dealt(execution: Execution) -> tuple[Plan, Deal]:
    if execution.plan is None or execution.deal is None:
        raise LookupError(f"{execution.execution_id} has no plan at hand")
    return execution.plan, execution.deal


def _without_plan(execution: Execution) -> Refusal:
    return Refusal(code="CONFLICT", message=f"{execution.execution_id} has no plan; PUT one to its /plan first")
