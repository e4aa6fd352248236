"""The machine of an execution: `decide` says what a command makes happen; `evolution` folds it into the state.

It is pure: no I/O, and the time is an argument. Which rule answers a command in which status is one table, `RULES`
(drawn in docs/executions.md).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from orchestrator.errors import FieldError
from orchestrator.executions.commands import (
    AnyCommand,
    Cancel,
    Complete,
    Create,
    Expire,
    Fail,
    Refusal,
    ReportProgress,
    ReportShard,
    Start,
    StartShard,
    Submit,
    Tick,
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
    Started,
)
from orchestrator.executions.evolution import evolve
from orchestrator.executions.model import (
    Execution,
    ExecutionStatus,
    ReasonCode,
    Shard,
    ShardStatus,
)
from orchestrator.timestamps import milliseconds, truncate

FRAME_TESTS = 200
"""Tests in one `tests` frame of the live protocol at the most."""


class Decision(msgspec.Struct, frozen=True):
    """What a command makes happen.

    Attributes:
        events: in order; none where nothing changes.
        refusal: why it is not carried out.
        late: the command's results are kept as a late submission, though refused.
        submission_id: the submission that holds the results sent, the former one for a repetition.
        first_frame: number of the first `tests` frame of a new submission.
    """

    events: tuple[AnyEvent, ...] = ()
    refusal: Refusal | None = None
    late: bool = False
    submission_id: str | None = None
    first_frame: int | None = None


NOTHING = Decision()


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


def frames_of(tests: int) -> int:
    """How many `tests` frames a submission of so many tests has."""
    return -(-tests // FRAME_TESTS)


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
    return Decision(refusal=_is_cancelled(execution))


def _is_cancelled(execution: Execution) -> Refusal:
    return Refusal(
        code="CONFLICT", message=f"{execution.execution_id} was cancelled: {execution.reason}; stop its runners"
    )


def _begin(execution: Execution, command: Start, now: datetime) -> Decision:
    return Decision(events=(_started(execution, truncate(command.at), now),))


def _started(execution: Execution, at: datetime, now: datetime) -> Started:
    return Started(at=at, deadline=now + timedelta(milliseconds=execution.configuration.timeout))


def _start_shard(execution: Execution, command: StartShard, now: datetime) -> Decision:
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=_outside_plan(execution, "data.shardId"))
    if shard.status is not ShardStatus.PENDING:
        return NOTHING
    at = truncate(command.at)
    started = ShardStarted(at=at, shard_id=shard.shard_id)
    return Decision(events=(*_start_if_created(execution, at, now), started))


def _start_if_created(execution: Execution, at: datetime, now: datetime) -> tuple[AnyEvent, ...]:
    if execution.status is ExecutionStatus.CREATED:
        return (_started(execution, at, now),)
    return ()


def _outside_plan(execution: Execution, field: str) -> Refusal:
    shards = len(execution.shards)
    plan = 'is "1"' if shards == 1 else f'are "1" to "{shards}"'
    return Refusal(
        code="VALIDATION_ERROR",
        message="Request validation failed",
        details=(FieldError(field, f"Not in the plan of {execution.execution_id}: its shards {plan}"),),
    )


def _submit(execution: Execution, command: Submit, now: datetime) -> Decision:
    """A shard's results replace its former ones; the same body again changes nothing (X-062)."""
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=_outside_plan(execution, "shardId"))
    if shard.digest is not None and shard.digest == command.digest:
        return Decision(submission_id=shard.submission_id)
    started_at = shard.started_at or command.started_at
    ended = ShardEnded(
        at=now,
        shard_id=shard.shard_id,
        status=command.status,
        totals=command.totals,
        started_at=started_at,
        duration_ms=_shard_duration(command, shard, now),
        submission_id=command.submission_id,
        digest=command.digest,
        frames=frames_of(command.tests),
    )
    begun = now if command.started_at is None else min(truncate(command.started_at), now)
    events = _end_shard(execution, ended, begun, now)
    return Decision(events=events, submission_id=command.submission_id, first_frame=execution.frames + 1)


def _submit_late(execution: Execution, command: Submit, _now: datetime) -> Decision:
    shard = execution.shard(command.shard_id)
    if shard is None:
        return Decision(refusal=_outside_plan(execution, "shardId"))
    return Decision(refusal=_is_cancelled(execution), late=True)


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
        return Decision(refusal=_outside_plan(execution, "data.shardId"))
    totals = shard.totals if command.totals is None else command.totals
    if shard.submission_id is not None or (shard.status, shard.totals) == (command.status, totals):
        return NOTHING
    at = truncate(command.at)
    ended = ShardEnded(
        at=at,
        shard_id=shard.shard_id,
        status=command.status,
        totals=totals,
        started_at=shard.started_at,
        duration_ms=None if shard.started_at is None else max(0, milliseconds(at - shard.started_at)),
    )
    return Decision(events=_end_shard(execution, ended, at, now))


def _end_shard(execution: Execution, ended: ShardEnded, begun: datetime, now: datetime) -> tuple[AnyEvent, ...]:
    """The end of a shard, with the start of the execution before it and its end after it where they follow."""
    events = _start_if_created(execution, begun, now)
    state = execution
    for event in (*events, ended):
        state = evolve(state, event)
    return (*events, ended, *_end_if_decided(state, ended, now))


def _end_if_decided(execution: Execution, ended: ShardEnded, now: datetime) -> tuple[AnyEvent, ...]:
    """A shard in error fails the execution at once; the last shard to end completes it (X-063, X-064)."""
    if execution.is_finished:
        return ()
    at = _not_before_start(execution, now)
    if ended.status is ShardStatus.ERROR:
        reason = f"Shard {ended.shard_id} ended in error"
        return (Failed(at=at, reason_code=ReasonCode.SHARD_ERROR, reason=reason),)
    if any(execution.open_shards()):
        return ()
    return (Completed(at=at),)


def _not_before_start(execution: Execution, at: datetime) -> datetime:
    """Runners' clocks may differ from ours; an end never comes before its start."""
    return at if execution.started_at is None else max(at, execution.started_at)


def _progress(execution: Execution, command: ReportProgress, now: datetime) -> Decision:
    at = truncate(command.at)
    return Decision(events=(*_start_if_created(execution, at, now), Progressed(at=at, report=command.report)))


def _tick(_execution: Execution, _command: Tick, now: datetime) -> Decision:
    return Decision(events=(Progressed(at=now),))


def _complete(execution: Execution, command: Complete, now: datetime) -> Decision:
    """A runner's own end. Totals it brings count while no shard has any (X-047, X-048)."""
    at = truncate(command.at)
    events = _start_if_created(execution, at, now)
    begun = execution
    for event in events:
        begun = evolve(begun, event)
    announced = None if execution.has_reports else command.totals
    lost = tuple(shard.shard_id for shard in execution.open_shards()) if execution.has_reports else ()
    completed = Completed(
        at=_not_before_start(begun, at),
        announced=announced,
        lost=lost,
        reason_code=ReasonCode.INCOMPLETE if lost else None,
        reason=f"Completed by its runner without a report of {_shards(lost)}" if lost else None,
    )
    return Decision(events=(*events, completed))


def _fail(execution: Execution, command: Fail, now: datetime) -> Decision:
    at = truncate(command.at)
    events = _start_if_created(execution, at, now)
    started_at = execution.started_at or at
    failed = Failed(at=max(at, started_at), reason_code=ReasonCode.REPORTED, reason=command.reason)
    return Decision(events=(*events, failed))


def _cancel(execution: Execution, command: Cancel, now: datetime) -> Decision:
    code = ReasonCode.CANCELLED_BY_RUNNER if command.by_runner else ReasonCode.CANCELLED_BY_USER
    cancelled = Cancelled(at=_not_before_start(execution, now), reason_code=code, reason=command.reason)
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
        silent = [f"{_shards(lost)} started and never reported"] if lost else []
        silent += [f"{_shards(missing)} never started"] if missing else []
        code, reason = ReasonCode.TIMEOUT, f"Timed out after {limit}: {'; '.join(silent)}"
    at = _not_before_start(execution, now)
    return Decision(events=(Failed(at=at, reason_code=code, reason=reason, lost=lost, missing=missing),))


def _shards(shard_ids: tuple[str, ...]) -> str:
    if len(shard_ids) == 1:
        return f"shard {shard_ids[0]}"
    shown = ", ".join(shard_ids[:20])
    return f"shards {shown}" if len(shard_ids) <= 20 else f"{len(shard_ids)} shards ({shown}, …)"  # noqa: PLR2004 - a sentence people can read


Rule = Callable[[Execution, Any, datetime], Decision]


def _row(created: Rule, running: Rule, completed: Rule, failed: Rule, cancelled: Rule) -> dict[ExecutionStatus, Rule]:
    return dict(zip(ExecutionStatus, (created, running, completed, failed, cancelled), strict=True))


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
    Expire: _row(_expire, _expire, _nothing, _nothing, _nothing),
    Tick: _row(_nothing, _tick, _nothing, _nothing, _nothing),
}
