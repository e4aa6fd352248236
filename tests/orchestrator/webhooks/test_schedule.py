"""When a delivery is tried again."""

from datetime import UTC, datetime, timedelta
from itertools import count, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.webhooks import schedule
from orchestrator.webhooks.model import (
    LONGEST_DELAY_MS,
    LONGEST_DELAY_SECONDS,
    MAX_RETRIES,
    STANDARD_SCHEDULE,
    Outcome,
    RetryPolicy,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
TENTH = RetryPolicy(max_retries=3, retry_delay=100)
STANDARD = RetryPolicy(schedule=STANDARD_SCHEDULE)

jitters = st.floats(-1, 1)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, MAX_RETRIES),
    retry_delay=st.integers(0, LONGEST_DELAY_MS),
    exponential_backoff=st.booleans(),
    schedule=st.none() | st.just(STANDARD_SCHEDULE) | st.lists(st.floats(0, LONGEST_DELAY_SECONDS)).map(tuple),
)


def delays(policy: RetryPolicy, jitter: float = 0.0) -> list[float]:
    given_up = (schedule.next_delay(policy, retries, jitter) for retries in count())
    return [delay for delay in takewhile(lambda delay: delay is not None, given_up) if delay is not None]


def answer(status_code: int | None, retry_after: float | None = None) -> Outcome:
    return Outcome(at=NOW, duration_ms=5, status_code=status_code, retry_after=retry_after)


def test_by_default_three_retries_wait_five_ten_and_twenty_seconds() -> None:
    assert delays(RetryPolicy()) == [5.0, 10.0, 20.0]


def test_delays_double_exactly() -> None:
    assert delays(TENTH) == [0.1, 0.2, 0.4]


def test_without_backoff_all_delays_are_the_same() -> None:
    assert delays(RetryPolicy(max_retries=4, retry_delay=250, exponential_backoff=False)) == [0.25] * 4


def test_no_retries_means_one_attempt() -> None:
    assert delays(RetryPolicy(max_retries=0)) == []


def test_a_list_is_kept_to_exactly_and_takes_the_place_of_the_rest() -> None:
    assert delays(RetryPolicy(max_retries=1, retry_delay=1, schedule=(0.5, 60.0, 3.25))) == [0.5, 60.0, 3.25]
    assert delays(RetryPolicy(schedule=())) == []


def test_the_standard_schedule_is_that_of_standard_webhooks() -> None:
    minute, hour = 60, 3600
    expected = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
    assert delays(STANDARD) == expected
    assert delays(STANDARD, 1.0) == pytest.approx([1.1 * delay for delay in expected])
    assert delays(STANDARD, -1.0) == pytest.approx([0.9 * delay for delay in expected])


@given(policies, jitters)
def test_every_policy_ends_and_no_delay_is_longer_than_a_week(policy: RetryPolicy, jitter: float) -> None:
    found = delays(policy, jitter)
    assert all(0 <= delay <= LONGEST_DELAY_SECONDS for delay in found)
    if policy.schedule is None:
        assert len(found) == policy.max_retries
    else:
        assert len(found) == len(schedule.STANDARD_DELAYS if policy.schedule == "standard" else policy.schedule)


@given(policies.filter(lambda policy: policy.schedule != STANDARD_SCHEDULE), jitters)
def test_only_the_standard_schedule_is_left_to_chance(policy: RetryPolicy, jitter: float) -> None:
    assert delays(policy, jitter) == delays(policy)


def test_a_failure_is_due_again_after_the_delay_of_its_try() -> None:
    due = [schedule.after_outcome(TENTH, tries, answer(500), NOW, 0.0) for tries in (1, 2, 3, 4)]
    assert due == [*(NOW + timedelta(milliseconds=delay) for delay in (100, 200, 400)), None]


@pytest.mark.parametrize("status_code", [None, 199, 301, 302, 307, 400, 404, 409, 429, 500, 503])
def test_everything_but_2xx_is_tried_again(status_code: int | None) -> None:
    assert schedule.after_outcome(TENTH, 1, answer(status_code), NOW, 0.0) is not None


@pytest.mark.parametrize("status_code", [200, 201, 204, 299])
def test_a_success_is_not_due_again(status_code: int) -> None:
    assert schedule.after_outcome(TENTH, 1, answer(status_code), NOW, 0.0) is None


def test_an_endpoint_that_is_gone_is_not_tried_again() -> None:
    assert schedule.after_outcome(TENTH, 1, answer(410, retry_after=5), NOW, 0.0) is None


@pytest.mark.parametrize("status_code", [429, 502, 503, 504])
def test_retry_after_puts_the_next_attempt_off(status_code: int) -> None:
    outcome = answer(status_code, retry_after=30)
    assert schedule.pause(outcome) == 30
    assert schedule.after_outcome(TENTH, 1, outcome, NOW, 0.0) == NOW + timedelta(seconds=30)


def test_retry_after_never_hurries_an_attempt() -> None:
    assert schedule.after_outcome(TENTH, 3, answer(503, retry_after=0.1), NOW, 0.0) == NOW + timedelta(seconds=0.4)


def test_retry_after_grants_no_further_attempt() -> None:
    assert schedule.after_outcome(TENTH, 4, answer(503, retry_after=30), NOW, 0.0) is None


@pytest.mark.parametrize("status_code", [200, 301, 400, 500])
def test_retry_after_counts_with_no_other_status(status_code: int) -> None:
    assert schedule.pause(answer(status_code, retry_after=30)) == 0


@given(st.floats(allow_nan=False))
def test_nobody_puts_us_off_for_more_than_a_day(retry_after: float) -> None:
    assert 0 <= schedule.pause(answer(503, retry_after=retry_after)) <= 24 * 3600


def test_without_retry_after_nothing_has_to_wait() -> None:
    assert schedule.pause(answer(503)) == 0
    assert schedule.pause(answer(None)) == 0
