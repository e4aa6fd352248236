"""No receiver sees more than its rate, and a receiver that fails is left in peace."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.webhooks.pacing import FAILURES_TO_OPEN, Breaker, Rate

# Fractions of two, so that a clock that adds them up is exact.
ticks = st.integers(0, 128).map(lambda parts: parts / 64)


@given(st.integers(1, 10), st.lists(st.tuples(ticks, st.booleans(), st.integers(0, 9)), max_size=60))
def test_no_second_can_see_more_than_the_rate_wherever_requests_arrive(
    limit: int, steps: list[tuple[float, bool, int]]
) -> None:
    rate, now = Rate(limit), 0.0
    under_way: list[float] = []
    whole: list[tuple[float, float]] = []
    for passed, starts, which in steps:
        now += passed
        if starts and rate.wait(now) == 0:
            rate.begin()
            under_way.append(now)
        elif not starts and under_way:
            whole.append((under_way.pop(which % len(under_way)), now))
            rate.end(now)
    whole += [(start, math.inf) for start in under_way]
    # A second that many requests can arrive in may as well begin where one of them ends.
    for begin in {end for _, end in whole} | {now}:
        assert sum(start < begin + 1 and begin <= end for start, end in whole) <= limit


@given(st.integers(1, 10), st.lists(st.tuples(ticks, st.booleans()), max_size=60))
def test_a_request_waits_no_longer_than_it_must(limit: int, steps: list[tuple[float, bool]]) -> None:
    rate, now, in_flight = Rate(limit), 0.0, 0
    ends: list[float] = []
    for passed, starts in steps:
        now += passed
        wait = rate.wait(now)
        assert (wait == 0) == (in_flight + sum(now - end < 1 for end in ends) < limit)
        assert (wait == math.inf) == (in_flight == limit)
        if 0 < wait < math.inf:
            assert rate.wait(now + wait / 2) == wait / 2
            assert rate.wait(now) == wait, "to ask changes nothing"
        if starts and wait == 0:
            rate.begin()
            in_flight += 1
        elif not starts and in_flight:
            rate.end(now)
            ends.append(now)
            in_flight -= 1


def test_the_eleventh_request_waits_until_a_second_after_the_first_ended() -> None:
    rate = Rate(10)
    for number in range(10):
        assert rate.wait(0.0) == 0
        rate.begin()
        rate.end(number / 16)
    assert rate.wait(0.625) == 0.375
    assert rate.wait(1.0) == 0
    rate.begin()
    assert rate.wait(1.0) == 0.0625


def test_a_request_without_an_end_keeps_its_place() -> None:
    rate = Rate(1)
    rate.begin()
    assert rate.wait(1000.0) == math.inf
    rate.end(1000.0)
    assert rate.wait(1000.0) == 1


def test_without_a_limit_nothing_waits() -> None:
    rate = Rate(0)
    for _ in range(1000):
        assert rate.wait(0.0) == 0
        rate.begin()
        rate.end(0.0)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_rest_holds_for_everything_and_a_shorter_one_does_not_end_it(limit: int) -> None:
    rate = Rate(limit)
    rate.rest(until=30.0)
    rate.rest(until=10.0)
    assert rate.wait(0.0) == 30
    assert rate.wait(29.5) == 0.5
    assert rate.wait(30.0) == 0


def test_a_rest_does_not_free_a_place() -> None:
    rate = Rate(1)
    rate.rest(until=3.0)
    rate.begin()
    assert rate.wait(5.0) == math.inf
    rate.end(5.0)
    assert rate.wait(5.0) == 1


def broken(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.fail(now)
    return breaker


def test_ten_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(10):
        assert not breaker.is_open
        assert breaker.wait(0.0) == 0
        breaker.fail(0.0)
    assert breaker.is_open
    assert breaker.wait(0.0) == 30


def test_failures_with_a_success_between_them_are_not_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(5):
        for _ in range(9):
            breaker.fail(0.0)
        breaker.succeed()
    assert not breaker.is_open


def test_one_first_attempt_per_cool_down_which_doubles_up_to_five_minutes() -> None:
    breaker, now = broken(100.0), 100.0
    waits = []
    for _ in range(7):
        waits.append(breaker.wait(now))
        now += breaker.wait(now)
        assert breaker.wait(now) == 0
        breaker.begin(now)
        assert breaker.wait(now) > 0, "one, and no more"
        breaker.fail(now)
    assert waits == [30, 60, 120, 240, 300, 300, 300]


def test_failed_retries_do_not_put_the_next_first_attempt_off() -> None:
    breaker = broken()
    for now in range(1, 30):
        breaker.fail(float(now))
    assert breaker.wait(29.0) == 1


def test_any_success_closes_it_and_the_next_time_begins_anew() -> None:
    breaker = broken()
    breaker.begin(30.0)
    breaker.begin(90.0)
    breaker.succeed()
    assert breaker.wait(90.0) == 0
    for _ in range(FAILURES_TO_OPEN):
        assert not breaker.is_open
        breaker.fail(100.0)
    assert breaker.wait(100.0) == 30


@given(
    st.lists(
        st.tuples(st.sampled_from([*4 * ["begin"], *8 * ["fail"], "succeed"]), ticks.map(lambda part: 64 * part)),
        max_size=60,
    )
)
def test_it_is_open_exactly_after_ten_failures_and_then_spares_the_endpoint(steps: list[tuple[str, int]]) -> None:
    breaker, now, failures = Breaker(), 0.0, 0
    let_through: list[float] = []
    for step, passed in steps:
        now += passed
        assert breaker.is_open == (failures >= 10)
        wait = breaker.wait(now)
        assert 0 <= wait <= 300
        assert wait == 0 or breaker.is_open
        if step == "begin" and wait == 0:
            breaker.begin(now)
            if breaker.is_open:
                assert not let_through or now - let_through[-1] >= 30
                let_through.append(now)
        elif step == "succeed":
            breaker.succeed()
            failures = 0
            let_through.clear()
        elif step == "fail":
            breaker.fail(now)
            failures += 1
