"""The waits between tries."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from tms_sdk import Retry
from tms_sdk.retry import retry_after_seconds

NOW = datetime(2025, 8, 4, 12, 0, tzinfo=UTC)

chances = st.floats(0.0, 1.0)


@given(st.integers(1, 10_000), chances)
def test_a_wait_is_random_up_to_a_doubling_that_is_capped(failures: int, chance: float) -> None:
    retry = Retry(first_delay=0.5, longest_delay=20.0)
    longest = min(20.0, 0.5 * 2 ** (min(failures, 64) - 1))
    assert retry.delay(failures, 1.0) == longest
    assert retry.delay(failures, 0.0) == 0.0
    assert 0.0 <= retry.delay(failures, chance) <= longest


@given(st.integers(1, 100), chances, st.floats(0.0, 1e6))
def test_a_servers_own_wait_is_never_undercut(failures: int, chance: float, retry_after: float) -> None:
    assert retry_after <= Retry().delay(failures, chance, retry_after) <= retry_after + 20.0


def test_retry_after_comes_as_seconds_or_as_a_date() -> None:
    assert retry_after_seconds("120", NOW) == 120.0
    assert retry_after_seconds(format_datetime(NOW + timedelta(seconds=30), usegmt=True), NOW) == 30.0
    assert retry_after_seconds(format_datetime(NOW - timedelta(days=1), usegmt=True), NOW) == 0.0


@given(st.none() | st.text())
def test_any_other_header_is_none_or_a_wait(header: str | None) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or seconds >= 0.0
