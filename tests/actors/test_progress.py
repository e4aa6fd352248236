"""Progress is told once in each interval, whoever tells it."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.progress import ProgressClock

START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)


@pytest.fixture
def clock() -> ProgressClock:
    return ProgressClock(INTERVAL)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_an_execution_is_due_an_interval_after_its_start_and_each_interval_after(clock: ProgressClock) -> None:
    clock.follow("exec_1", START, START)
    assert clock.next() == after(30)
    assert clock.pop_due(after(29)) == []
    assert clock.pop_due(after(30)) == ["exec_1"]
    assert clock.pop_due(after(59)) == []
    assert clock.pop_due(after(60)) == ["exec_1"]


def test_one_met_after_a_restart_goes_on_in_step_with_its_start(clock: ProgressClock) -> None:
    clock.follow("exec_1", START, after(75))
    assert clock.next() == after(90)


def test_following_again_changes_nothing(clock: ProgressClock) -> None:
    clock.follow("exec_1", START, START)
    clock.told(["exec_1"], after(10))
    clock.follow("exec_1", START, after(12))
    assert clock.next() == after(40)


def test_a_runners_first_word_is_told_at_once_and_the_next_after_an_interval(clock: ProgressClock) -> None:
    clock.follow("exec_1", START, START)
    assert clock.is_due("exec_1", after(1))
    clock.told(["exec_1"], after(1))
    assert not clock.is_due("exec_1", after(30.9))
    assert clock.is_due("exec_1", after(31))
    assert clock.next() == after(31)


def test_what_ended_is_told_of_no_more(clock: ProgressClock) -> None:
    clock.follow("exec_1", START, START)
    clock.drop("exec_1")
    assert clock.next() is None
    assert clock.pop_due(after(100)) == []


def test_a_start_in_the_future_of_our_clock_is_due_an_interval_after_it(clock: ProgressClock) -> None:
    clock.follow("exec_1", after(5), START)
    assert clock.next() == after(35)


def test_executions_that_started_within_a_second_are_due_together(clock: ProgressClock) -> None:
    for number in range(10):
        clock.follow(f"exec_{number}", after(number / 10), after(1))
    assert len(clock.pop_due(after(30))) == 1
    assert clock.next() == after(31)
    assert len(clock.pop_due(after(31))) == 9
