"""The machine of an execution: `decide` says what a command makes happen; `evolution` folds it into the state.

It is pure: no I/O, and the time is an argument. Which rule answers a command in which status is one table, `RULES`
(drawn in docs/executions.md).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from orchestrator.executions import dealing, streams
from orchestrator.executions.commands import (
    PLACES_NEEDED,
    AnyCommand,
    Beat,
    Cancel,
    Claim,
    Complete,
    Create,
    Expire,
    Fail,
    HandBack,
    Lapse,
    MakePlan,
    Refusal,
    ReportProgress,
    ReportShard,
    Start,
    StartShard,
    Stream,
    Submit,
    Tick,
)
from orchestrator.executions.decisions import (
    NOTHING,
    Decision,
    after,
    completed,
    end_shard,
    frames_of,
    is_cancelled,
    not_before_start,
    outside_plan,
    shards,
    start_if_created,
    started,
)
from orchestrator.executions.events import (
    AnyEvent,
    Cancelled,
    Completed,
    Created,
    Failed,
    Progressed,
    ShardEnded,
    ShardStarted,
)
from orchestrator.executions.model import (
    Execution,
    ExecutionStatus,
    ReasonCode,
    Shard,
    ShardStatus,
    Totals,
)
from orchestrator.timestamps import milliseconds, truncate


def decide(execution: Execution | None, command: AnyCommand, now: datetime) -> Decision:
    """Answer a command.

    Args:
        execution: as it stands; None if there is none with this id.
        command: what is asked.
        now: the server's time.
    """
    moment = truncate(now)
    if isinstance(command, Create):
        return _create(execution, command, moment)
    if execution is None or execution.tenant_id != command.tenant_id:
        return Decision(refusal=Refusal(code="NOT_FOUND", message=f"No execution {command.execution_id}"))
    rules = RULES[type(command)]
    return rules[execution.status](execution, command, moment)


# Rules: (execution, command, now) -> Decision


def _create(execution: Execution | None, command: Create, now: datetime) -> Decision:
    if execution is not None:
        return Decision(refusal=Refusal(code="CONFLICT", message=f"{command.execution_id} exists already"))
    created = Created(
        at=now,
        execution_id=command.execution_id,
        tenant_id=command.tenant_id,
        test_suite=command.test_suite,
        environment=command.environment,
        provider=command.provider,
        trigger_source=command.trigger_source,
        configuration=command.configuration,
        metadata=command.metadata,
        base_url=command.base_url,
        deadline=now + timedelta(milliseconds=command.configuration.timeout),
    )
    return Decision(events=(created,))


def _nothing(_execution: Execution, _command: AnyCommand, _now: datetime) -> Decision:
    return NOTHING


def _refuse_cancelled(execution: Execution, _command: AnyCommand, _now: datetime) -> Decision:
    return Decision(refusal=is_cancelled(execution))


def _begin(execution: Execution, command: Start, now: datetime) -> Decision:
    return Decision(events=(started(execution, truncate(command.at), now),))


def _start_shard(execution: Execution, command: StartShard, now: datetime) -> Decision:
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=outside_plan(execution, "data.shardId"))
    if shard.status is not ShardStatus.PENDING:
        return NOTHING
    at = truncate(command.at)
    return Decision(events=(*start_if_created(execution, at, now), ShardStarted(at=at, shard_id=shard.shard_id)))


def _submit(execution: Execution, command: Submit, now: datetime) -> Decision:
    """A shard's results replace its former ones; the same body again changes nothing (X-062)."""
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=outside_plan(execution, "shardId"))
    if shard.digest is not None and shard.digest == command.digest:
        return Decision(submission_id=shard.submission_id)
    if execution.deal is not None and command.tests and command.placed is None:
        return Decision(refusal=Refusal(code=PLACES_NEEDED, message="Send it again with the places of its tests"))
    if not dealing.may_end(execution, shard.shard_id, command.runner_id):
        kept = command.submission_id if command.tests else shard.submission_id
        return Decision(submission_id=kept, late=bool(command.tests))
    if _was_given_up(execution, shard) and not command.tests and (shard.is_streamed or command.totals == Totals()):
        return Decision(submission_id=shard.submission_id)
    return (_close_stream if shard.is_streamed else _replace)(execution, shard, command, now)


def _was_given_up(execution: Execution, shard: Shard) -> bool:
    return execution.deal is not None and shard.status is ShardStatus.LOST


def _replace(execution: Execution, shard: Shard, command: Submit, now: datetime) -> Decision:
    begun = _begun(command, now)
    ended = ShardEnded(
        at=now,
        shard_id=shard.shard_id,
        status=command.status,
        totals=command.totals,
        started_at=shard.started_at or command.started_at,
        duration_ms=_shard_duration(command, shard, now),
        submission_id=command.submission_id,
        digest=command.digest,
        frames=frames_of(command.tests),
        reported=0 if command.placed is None else streams.planned(command.placed),
        unexpected=frozenset() if command.placed is None else streams.unplanned(command.placed),
    )
    events = end_shard(execution, ended, begun, now)
    return Decision(events=events, submission_id=ended.submission_id, first_frame=execution.frames + 1)


def _begun(command: Submit, now: datetime) -> datetime:
    return now if command.started_at is None else min(truncate(command.started_at), now)


def _close_stream(execution: Execution, shard: Shard, command: Submit, now: datetime) -> Decision:
    """The end of a shard whose tests were streamed; tests that come with it are the last of them."""
    events: tuple[AnyEvent, ...] = ()
    outcomes = ""
    if execution.deal is not None and command.placed is not None:
        outcomes = streams.taken(execution.deal, command.placed)
        events = dealing.streamed(shard, command.placed, command.letters, outcomes, command.submission_id, now)
    state = after(execution, events)
    grown = state.shards[int(shard.shard_id) - 1]
    ended = ShardEnded(
        at=now,
        shard_id=shard.shard_id,
        status=command.status,
        # Counters that are sent count, where they are not those of tests that came with them.
        totals=grown.totals if command.tests or command.totals == Totals() else command.totals,
        started_at=shard.started_at or command.started_at,
        duration_ms=_shard_duration(command, shard, now),
        submission_id=shard.submission_id,
        digest=command.digest,
        closes_stream=True,
    )
    return Decision(
        events=(*events, *end_shard(state, ended, _begun(command, now), now)),
        submission_id=shard.submission_id,
        first_frame=execution.frames + 1,
        outcomes=outcomes,
    )


def _submit_late(execution: Execution, command: Submit, _now: datetime) -> Decision:
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=outside_plan(execution, "shardId"))
    return Decision(refusal=is_cancelled(execution), late=True)


def _shard_duration(command: Submit, shard: Shard, now: datetime) -> int | None:
    if command.duration_ms is not None:
        return command.duration_ms
    if command.started_at is not None and command.ended_at is not None:
        return max(0, milliseconds(command.ended_at - command.started_at))
    if shard.started_at is not None:
        return max(0, milliseconds(now - shard.started_at))
    return None


def _report_shard(execution: Execution, command: ReportShard, now: datetime) -> Decision:
    """A runner's word on a shard; its results, sent before or after, count for more (X-049)."""
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=outside_plan(execution, "data.shardId"))
    is_growing = shard.is_streamed and shard.is_open
    totals = shard.totals if command.totals is None or is_growing else command.totals
    has_results = shard.submission_id is not None and not is_growing
    if has_results or (shard.status, shard.totals) == (command.status, totals):
        return NOTHING
    at = truncate(command.at)
    ended = ShardEnded(
        at=at,
        shard_id=shard.shard_id,
        status=command.status,
        totals=totals,
        started_at=shard.started_at,
        duration_ms=None if shard.started_at is None else max(0, milliseconds(at - shard.started_at)),
        submission_id=shard.submission_id,
        closes_stream=is_growing,
    )
    return Decision(events=end_shard(execution, ended, at, now))


def _progress(execution: Execution, command: ReportProgress, now: datetime) -> Decision:
    at = truncate(command.at)
    return Decision(events=(*start_if_created(execution, at, now), Progressed(at=at, report=command.report)))


def _tick(_execution: Execution, _command: Tick, now: datetime) -> Decision:
    return Decision(events=(Progressed(at=now),))


def _complete(execution: Execution, command: Complete, now: datetime) -> Decision:
    """A runner's own end. Totals it brings count while no shard has any (X-047, X-048)."""
    at = truncate(command.at)
    events = start_if_created(execution, at, now)
    begun = after(execution, events)
    announced = None if execution.has_reports else command.totals
    lost = tuple(shard.shard_id for shard in execution.open_shards()) if execution.has_reports else ()
    moment = not_before_start(begun, at)
    if lost:
        reason = f"Completed by its runner without a report of {shards(lost)}"
        ended = Completed(at=moment, lost=lost, reason_code=ReasonCode.INCOMPLETE, reason=reason)
    else:
        ended = msgspec.structs.replace(completed(begun, moment), announced=announced)
    return Decision(events=(*events, ended))


def _fail(execution: Execution, command: Fail, now: datetime) -> Decision:
    at = truncate(command.at)
    events = start_if_created(execution, at, now)
    started_at = execution.started_at or at
    failed = Failed(at=max(at, started_at), reason_code=ReasonCode.REPORTED, reason=command.reason)
    return Decision(events=(*events, failed))


def _cancel(execution: Execution, command: Cancel, now: datetime) -> Decision:
    code = ReasonCode.CANCELLED_BY_RUNNER if command.by_runner else ReasonCode.CANCELLED_BY_USER
    cancelled = Cancelled(at=not_before_start(execution, now), reason_code=code, reason=command.reason)
    return Decision(events=(cancelled,))


def _cancel_finished(execution: Execution, command: Cancel, _now: datetime) -> Decision:
    """A second cancellation is a conflict (X-028), a runner's late word is not."""
    if command.by_runner:
        return NOTHING
    return Decision(
        refusal=Refusal(
            code="CONFLICT", message=f"{execution.execution_id} is {execution.status} already; nothing to cancel"
        )
    )


def _expire(execution: Execution, _command: Expire, now: datetime) -> Decision:
    """The deadline ends what runs and what never started (X-030); who was silent is named."""
    if execution.deadline is None or now < execution.deadline:
        return NOTHING
    limit = f"{execution.configuration.timeout} ms"
    lost = tuple(shard.shard_id for shard in execution.open_shards() if shard.status is ShardStatus.RUNNING)
    missing = tuple(shard.shard_id for shard in execution.open_shards() if shard.status is ShardStatus.PENDING)
    if execution.status is ExecutionStatus.CREATED:
        code, reason = ReasonCode.NEVER_STARTED, f"Never started within {limit}"
    else:
        silent = [f"{shards(lost)} started and never reported"] if lost else []
        silent += [f"{shards(missing)} never started"] if missing else []
        code, reason = ReasonCode.TIMEOUT, f"Timed out after {limit}: {'; '.join(silent)}"
    at = not_before_start(execution, now)
    return Decision(events=(Failed(at=at, reason_code=code, reason=reason, lost=lost, missing=missing),))


Rule = Callable[[Execution, Any, datetime], Decision]


def _row(created: Rule, running: Rule, completed: Rule, failed: Rule, cancelled: Rule) -> dict[ExecutionStatus, Rule]:
    return dict(zip(ExecutionStatus, (created, running, completed, failed, cancelled), strict=True))


def _ended(rule: Rule) -> tuple[Rule, Rule, Rule]:
    return (rule, rule, rule)


RULES: dict[type[AnyCommand], dict[ExecutionStatus, Rule]] = {
    # in status:          created        running        completed         failed            cancelled
    Start: _row(_begin, _nothing, _nothing, _nothing, _refuse_cancelled),
    StartShard: _row(_start_shard, _start_shard, _nothing, _nothing, _refuse_cancelled),
    Submit: _row(_submit, _submit, _submit, _submit, _submit_late),
    ReportShard: _row(_report_shard, _report_shard, _report_shard, _report_shard, _refuse_cancelled),
    ReportProgress: _row(_progress, _progress, _nothing, _nothing, _refuse_cancelled),
    Complete: _row(_complete, _complete, _nothing, _nothing, _refuse_cancelled),
    Fail: _row(_fail, _fail, _nothing, _nothing, _refuse_cancelled),
    Cancel: _row(_cancel, _cancel, _cancel_finished, _cancel_finished, _cancel_finished),
    MakePlan: _row(dealing.make_plan, dealing.make_plan, *_ended(dealing.refuse_plan)),
    Claim: _row(dealing.claim, dealing.claim, *_ended(dealing.claim_of_ended)),
    Beat: _row(dealing.beat, dealing.beat, *_ended(dealing.beat_of_ended)),
    HandBack: _row(dealing.hand_back, dealing.hand_back, *_ended(_nothing)),
    Lapse: _row(dealing.lapse, dealing.lapse, *_ended(_nothing)),
    Stream: _row(dealing.stream, dealing.stream, *_ended(dealing.stream_to_ended)),
    Expire: _row(_expire, _expire, _nothing, _nothing, _nothing),
    Tick: _row(_nothing, _tick, _nothing, _nothing, _nothing),
}
