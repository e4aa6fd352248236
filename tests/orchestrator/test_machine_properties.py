"""What holds for every history of an execution, whatever is sent to it in whatever order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.executions import machine
from orchestrator.executions.commands import (
    AnyCommand,
    Cancel,
    Complete,
    Expire,
    Fail,
    ReportProgress,
    ReportShard,
    Start,
    StartShard,
    Submit,
    Tick,
)
from orchestrator.executions.evolution import apply, evolve
from orchestrator.executions.model import Execution, ShardStatus, Totals
from tests import orders

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
CREATE = orders.create(shards=3, timeout=60_000)
COMMON: dict[str, Any] = {"command_id": "c", "tenant_id": 1, "execution_id": CREATE.execution_id}
COMMON_VALUES: dict[str, Any] = {key: st.just(value) for key, value in COMMON.items()}

moments = st.integers(-100_000, 100_000).map(lambda seconds: START + timedelta(seconds=seconds))
shard_ids = st.sampled_from(["1", "2", "3", "4"])
ends = st.sampled_from([ShardStatus.COMPLETED, ShardStatus.FAILED, ShardStatus.ERROR])
counts = st.integers(0, 20)
totals = st.builds(Totals, counts, counts, counts, counts, counts)


def submits() -> st.SearchStrategy[Submit]:
    return st.builds(
        lambda shard_id, status, numbers, body: orders.submit(
            CREATE, shard_id, orders.outcomes(1), status=status, totals=numbers, body=body
        ),
        shard_ids,
        ends,
        totals,
        st.sampled_from(["a", "b", "c", "d"]),
    )


commands: st.SearchStrategy[AnyCommand] = st.one_of(
    submits(),
    st.builds(Start, at=moments, **COMMON_VALUES),
    st.builds(StartShard, at=moments, shard_id=shard_ids, **COMMON_VALUES),
    st.builds(
        ReportShard,
        at=moments,
        shard_id=shard_ids,
        status=ends,
        totals=st.none() | totals,
        **COMMON_VALUES,
    ),
    st.builds(ReportProgress, at=moments, report=st.just("{}"), **COMMON_VALUES),
    st.builds(Complete, at=moments, totals=st.none() | totals, **COMMON_VALUES),
    st.builds(Fail, at=moments, reason=st.just("broken"), **COMMON_VALUES),
    st.builds(
        Cancel,
        reason=st.just("enough"),
        by_runner=st.booleans(),
        **COMMON_VALUES,
    ),
    st.just(Expire(**COMMON)),
    st.just(Tick(**COMMON)),
)
histories = st.lists(st.tuples(commands, st.integers(0, 40)), max_size=30)


def created() -> Execution:
    state = apply(None, machine.decide(None, CREATE, START).events)
    assert state is not None
    return state


@given(histories)
def test_every_history_keeps_the_promises(history: list[tuple[AnyCommand, int]]) -> None:
    state, now = created(), START
    current: dict[str, Totals] = {}
    for command, seconds in history:
        now += timedelta(seconds=seconds)
        before = state
        decision = machine.decide(state, command, now)
        for event in decision.events:
            previous = state
            state = evolve(state, event)
            assert state.seq == previous.seq + 1, "numbers are dense"
        if before.is_finished:
            assert (state.status, state.ended_at, state.reason) == (before.status, before.ended_at, before.reason)
        if decision.refusal is not None:
            assert state == before, "a refusal changes nothing"
        if isinstance(command, Submit) and decision.events:
            current[command.shard_id] = command.totals
        for shard_id, expected in current.items():
            shard = state.shard(shard_id)
            assert shard is not None
            assert shard.totals == expected, "a shard's totals are those of its current submission"
        reported = [shard.totals for shard in state.shards if shard.attempts]
        if reported:
            assert state.totals == sum(reported, Totals()), "totals are the sum over the shards"
        assert (state.deadline is None) == state.is_finished
        assert (state.ended_at is None) == (not state.is_finished)
        if state.is_finished:
            assert not any(state.open_shards()), "no shard is left in limbo"
        if state.duration_ms is not None:
            assert state.duration_ms >= 0


@given(histories)
def test_a_repeated_command_is_harmless(history: list[tuple[AnyCommand, int]]) -> None:
    state, now = created(), START
    for command, seconds in history:
        now += timedelta(seconds=seconds)
        state = apply(state, machine.decide(state, command, now).events) or state
        if isinstance(command, ReportProgress):
            continue  # each report is news of its own
        repeated = apply(state, machine.decide(state, command, now).events) or state
        assert msgspec.structs.replace(repeated, seq=state.seq) == state


@given(histories)
def test_an_execution_whose_deadline_comes_always_ends(history: list[tuple[AnyCommand, int]]) -> None:
    state, now = created(), START
    for command, seconds in history:
        now += timedelta(seconds=seconds)
        state = apply(state, machine.decide(state, command, now).events) or state
    if state.deadline is not None:
        state = apply(state, machine.decide(state, Expire(**COMMON), state.deadline).events) or state
    assert state.is_finished
