"""The machine of an execution, rule by rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.executions import machine, payloads
from orchestrator.executions.commands import (
    AnyCommand,
    Cancel,
    Complete,
    Expire,
    Fail,
    Refusal,
    ReportProgress,
    ReportShard,
    Start,
    StartShard,
    Tick,
)
from orchestrator.executions.decisions import NOTHING, Decision
from orchestrator.executions.events import name
from orchestrator.executions.evolution import evolve
from orchestrator.executions.model import Execution, ExecutionStatus, ReasonCode, ShardStatus, Totals
from tests import orders

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
CREATE = orders.create(shards=2, timeout=60_000)
COMMON: dict[str, Any] = {"command_id": "c", "tenant_id": 1, "execution_id": CREATE.execution_id}
TOTALS = Totals(total=100, passed=95, failed=5)


class Case:
    """An execution to which commands are given, one after the other."""

    def __init__(self) -> None:
        self.now = NOW
        self.state: Execution | None = None
        self.told: list[str] = []
        self.data: list[payloads.Json] = []
        self.give(CREATE)

    def give(self, command: AnyCommand, *, after: float = 1.0) -> Decision:
        self.now += timedelta(seconds=after)
        decision = machine.decide(self.state, command, self.now)
        for event in decision.events:
            self.state = evolve(self.state, event)
            self.told.append(name(event))
            self.data.append(payloads.data(self.state, event))
        return decision

    @property
    def execution(self) -> Execution:
        assert self.state is not None
        return self.state

    def statuses(self) -> list[ShardStatus]:
        return [shard.status for shard in self.execution.shards]


@pytest.fixture
def case() -> Case:
    return Case()


def refused(decision: Decision) -> Refusal:
    assert decision.refusal is not None
    assert decision.events == ()
    return decision.refusal


@pytest.mark.contract("X-065")
def test_first_result_starts_the_execution(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", orders.outcomes(3)))
    assert case.told == ["execution.created", "execution.started", "shard.completed"]
    assert case.execution.status is ExecutionStatus.RUNNING
    assert case.execution.started_at is not None


@pytest.mark.contract("X-063", "X-021", "X-020")
def test_last_shard_completes_with_the_sum_of_all(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", orders.outcomes(3, 1)))
    case.give(orders.submit(CREATE, "2", orders.outcomes(2, 0, 1)), after=2)
    assert case.told[-2:] == ["shard.completed", "execution.completed"]
    assert case.execution.status is ExecutionStatus.COMPLETED
    assert case.execution.totals == Totals(7, 5, 1, 1)
    assert case.execution.duration_ms == 2000


@pytest.mark.contract("X-062")
def test_a_shard_sent_again_replaces_its_result(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", orders.outcomes(10)))
    decision = case.give(orders.submit(CREATE, "1", orders.outcomes(4, 1)))
    assert [name(event) for event in decision.events] == ["shard.completed"]
    assert case.execution.totals == Totals(5, 4, 1)
    assert case.execution.shards[0].attempts == 2


def test_the_same_body_again_changes_nothing(case: Case) -> None:
    first = case.give(orders.submit(CREATE, "1", orders.outcomes(10), body="same"))
    second = case.give(orders.submit(CREATE, "1", orders.outcomes(10), body="same"))
    assert second.events == ()
    assert second.submission_id == first.submission_id


@pytest.mark.contract("X-064")
def test_failed_tests_do_not_fail_the_execution(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", orders.outcomes(1, 2), status=ShardStatus.FAILED))
    case.give(orders.submit(CREATE, "2", orders.outcomes(1)))
    assert case.execution.status is ExecutionStatus.COMPLETED


@pytest.mark.contract("X-064", "X-071")
def test_a_shard_in_error_fails_the_execution_once_and_late_shards_still_count(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", status=ShardStatus.ERROR))
    assert case.execution.status is ExecutionStatus.FAILED
    assert case.execution.reason_code is ReasonCode.SHARD_ERROR
    assert case.statuses() == [ShardStatus.ERROR, ShardStatus.CANCELLED]
    case.give(orders.submit(CREATE, "2", orders.outcomes(5)))
    assert case.told.count("execution.failed") == 1
    assert case.execution.status is ExecutionStatus.FAILED
    assert case.execution.totals.total == 5


@pytest.mark.contract("X-043")
def test_a_runners_start_sets_the_time_it_sent(case: Case) -> None:
    sent = NOW - timedelta(minutes=3)
    case.give(Start(**COMMON, at=sent))
    assert case.execution.started_at == sent
    assert case.execution.deadline == case.now + timedelta(milliseconds=60_000)


@pytest.mark.contract("X-047")
def test_totals_of_the_whole_count_while_no_shard_has_any(case: Case) -> None:
    case.give(Start(**COMMON, at=case.now))
    case.give(Complete(**COMMON, at=case.now, totals=TOTALS))
    assert case.execution.status is ExecutionStatus.COMPLETED
    assert case.execution.totals == TOTALS
    assert case.statuses() == [ShardStatus.COMPLETED] * 2


@pytest.mark.contract("X-048", "X-050")
def test_a_runners_end_after_the_last_shard_changes_nothing(case: Case) -> None:
    for shard_id in ("1", "2"):
        case.give(orders.submit(CREATE, shard_id, orders.outcomes(4)))
    for totals in (None, Totals()):
        assert case.give(Complete(**COMMON, at=case.now, totals=totals)) == NOTHING
    assert case.execution.totals.total == 8
    assert case.told.count("execution.completed") == 1


def test_a_runners_end_with_a_silent_shard_says_so(case: Case) -> None:
    case.give(orders.submit(CREATE, "1", orders.outcomes(4)))
    case.give(Complete(**COMMON, at=case.now, totals=None))
    assert case.execution.status is ExecutionStatus.COMPLETED
    assert case.execution.reason_code is ReasonCode.INCOMPLETE
    assert case.statuses() == [ShardStatus.COMPLETED, ShardStatus.LOST]
    assert case.data[-1]["lostShards"] == ("2",)


@pytest.mark.contract("X-049")
def test_a_runners_word_on_a_shard_never_counts_beside_its_results(case: Case) -> None:
    totals = Totals(10, 10)
    case.give(orders.submit(CREATE, "1", orders.outcomes(10)))
    report = ReportShard(**COMMON, at=case.now, shard_id="1", status=ShardStatus.COMPLETED, totals=totals)
    assert case.give(report) == NOTHING
    assert case.execution.totals == totals


def test_a_runners_word_comes_first_and_its_results_replace_it(case: Case) -> None:
    report = ReportShard(**COMMON, at=case.now, shard_id="1", status=ShardStatus.COMPLETED, totals=Totals(3, 3))
    case.give(report)
    assert case.execution.totals == Totals(3, 3)
    case.give(orders.submit(CREATE, "1", orders.outcomes(4)))
    assert case.execution.totals == Totals(4, 4)


@pytest.mark.contract("X-068")
def test_a_shard_starts_once_and_starts_the_execution(case: Case) -> None:
    start = StartShard(**COMMON, at=case.now, shard_id="2")
    case.give(start)
    assert case.told == ["execution.created", "execution.started", "shard.started"]
    assert case.give(start) == NOTHING
    assert case.data[-1]["shardId"] == "2"


@pytest.mark.contract("X-027", "X-072")
def test_cancel_ends_all_shards_with_the_reason(case: Case) -> None:
    case.give(Start(**COMMON, at=case.now))
    case.give(Cancel(**COMMON, reason="User requested cancellation"))
    assert case.execution.status is ExecutionStatus.CANCELLED
    assert case.statuses() == [ShardStatus.CANCELLED] * 2
    assert case.data[-1]["reason"] == "User requested cancellation"


@pytest.mark.contract("X-028")
def test_cancelling_what_ended_is_a_conflict_but_a_runners_word_is_not(case: Case) -> None:
    case.give(Cancel(**COMMON, reason="User requested cancellation"))
    assert refused(case.give(Cancel(**COMMON, reason="again"))).code == "CONFLICT"
    assert case.give(Cancel(**COMMON, reason="again", by_runner=True)) == NOTHING


@pytest.mark.contract("X-029")
def test_results_for_a_cancelled_execution_are_kept_late_and_refused(case: Case) -> None:
    case.give(Cancel(**COMMON, reason="no longer needed"))
    decision = case.give(orders.submit(CREATE, "1", orders.outcomes(1)))
    assert refused(decision).code == "CONFLICT"
    assert decision.late
    assert case.execution.status is ExecutionStatus.CANCELLED


@pytest.mark.parametrize("shard_id", ["0", "3", "01", "", "-1", "one", "\u0661"])
def test_a_shard_outside_the_plan_is_refused_by_name(case: Case, shard_id: str) -> None:
    refusal = refused(case.give(orders.submit(CREATE, shard_id)))
    assert refusal.code == "VALIDATION_ERROR"
    assert refusal.details[0].field == "shardId"


def test_another_tenant_sees_nothing(case: Case) -> None:
    foreign = COMMON | {"tenant_id": 2}
    assert refused(case.give(Cancel(**foreign, reason="mine"))).code == "NOT_FOUND"


@pytest.mark.contract("X-030")
def test_the_deadline_ends_a_running_execution_and_names_who_was_silent(case: Case) -> None:
    case.give(StartShard(**COMMON, at=case.now, shard_id="1"))
    assert case.give(Expire(**COMMON), after=59) == NOTHING
    case.give(Expire(**COMMON), after=1)
    assert case.execution.status is ExecutionStatus.FAILED
    assert case.execution.reason_code is ReasonCode.TIMEOUT
    assert case.data[-1]["lostShards"] == ("1",)
    assert case.data[-1]["missingShards"] == ("2",)
    assert case.statuses() == [ShardStatus.LOST] * 2


@pytest.mark.contract("X-030")
def test_the_deadline_ends_what_never_started(case: Case) -> None:
    case.give(Expire(**COMMON), after=60)
    assert case.execution.reason_code is ReasonCode.NEVER_STARTED
    assert case.execution.started_at is None


@pytest.mark.contract("X-067")
def test_a_tick_tells_how_far_a_running_execution_is_and_nothing_after_its_end(case: Case) -> None:
    assert case.give(Tick(**COMMON), after=30) == NOTHING
    case.give(Start(**COMMON, at=case.now))
    case.give(Tick(**COMMON), after=30)
    assert case.data[-1]["progress"]["totalShards"] == 2
    assert case.execution.status is ExecutionStatus.RUNNING
    case.give(Complete(**COMMON, at=case.now, totals=None))
    assert case.give(Tick(**COMMON), after=30) == NOTHING


def test_a_start_gives_the_whole_timeout_again(case: Case) -> None:
    case.give(Start(**COMMON, at=NOW), after=50)
    assert case.give(Expire(**COMMON), after=59) == NOTHING
    assert len(case.give(Expire(**COMMON), after=1).events) == 1


def test_a_clock_ahead_never_makes_a_negative_duration(case: Case) -> None:
    case.give(Start(**COMMON, at=case.now + timedelta(hours=1)))
    for shard_id in ("1", "2"):
        case.give(orders.submit(CREATE, shard_id))
    assert case.execution.duration_ms == 0


def test_a_reported_failure_ends_it(case: Case) -> None:
    case.give(Fail(**COMMON, at=case.now, reason="the grid is on fire"))
    assert case.execution.status is ExecutionStatus.FAILED
    assert case.execution.reason == "the grid is on fire"
    assert case.told == ["execution.created", "execution.started", "execution.failed"]


def test_progress_is_told_while_it_runs_and_never_after_its_end(case: Case) -> None:
    progress = ReportProgress(**COMMON, at=case.now, report='{"percent":10}')
    case.give(progress)
    assert case.told[-1] == "execution.progress"
    case.give(Complete(**COMMON, at=case.now, totals=None))
    assert case.give(progress) == NOTHING


@pytest.mark.contract("X-066", "X-017")
def test_the_started_event_has_exactly_the_documented_keys(case: Case) -> None:
    case.give(Start(**COMMON, at=case.now))
    assert list(case.data[-1]) == ["testSuite", "environment", "provider", "configuration", "metadata"]
    assert set(case.data[-1]["configuration"]) == {"shards", "browsers", "parallel"}


def test_every_command_has_a_rule_in_every_status() -> None:
    for rules in machine.RULES.values():
        assert set(rules) == set(ExecutionStatus)
