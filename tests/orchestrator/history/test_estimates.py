"""What is made of a test's latest runs."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.history.estimates import expected, passes_in_a_row, trend
from orchestrator.history.model import ESTIMATED_FROM, Past

durations = some.floats(min_value=0, max_value=1e12)
pasts = some.lists(durations, min_size=1, max_size=ESTIMATED_FROM).map(tuple)


def estimate(*durations: float) -> float | None:
    return expected(Past(durations, last_failed=False))


def test_nothing_is_expected_of_an_unknown_test() -> None:
    assert estimate() is None


@given(pasts)
def test_what_is_expected_was_seen(past: tuple[float, ...]) -> None:
    assert estimate(*past) in past


@given(pasts, some.floats(min_value=0.001, max_value=1000))
def test_the_unit_does_not_matter(past: tuple[float, ...], factor: float) -> None:
    known = estimate(*past)
    assert known is not None
    assert estimate(*(one * factor for one in past)) == known * factor


@given(some.lists(some.just(100.0), min_size=4, max_size=ESTIMATED_FROM - 1), some.integers(0, 8), durations)
def test_an_outlier_changes_nothing(usual: list[float], place: int, outlier: float) -> None:
    assert estimate(*usual[:place], outlier, *usual[place:]) == 100


@pytest.mark.parametrize(("new", "believed"), [(1, 100), (2, 100), (3, 500), (4, 500)])
def test_the_third_run_in_a_row_convinces(new: int, believed: float) -> None:
    assert estimate(*[500.0] * new, *[100.0] * (ESTIMATED_FROM - new)) == believed


def test_of_two_runs_the_newer_counts() -> None:
    assert (estimate(500, 100), estimate(100, 500)) == (500, 100)


@given(some.lists(durations, max_size=5))
def test_a_trend_takes_some_runs(few: list[float]) -> None:
    assert trend([*few, None, None]) is None


@given(some.lists(some.floats(min_value=1, max_value=1e6), min_size=6, max_size=30))
def test_a_trend_is_how_much_longer_the_newer_half_takes(known: list[float]) -> None:
    grown = trend(known)
    assert grown is not None
    middle = len(known) // 2
    assert median(known[middle:]) * (1 + grown) == pytest.approx(median(known[:middle]))
    assert trend([known[0], None, *known[1:]]) == grown


def test_tests_that_take_no_time_have_no_trend() -> None:
    assert trend([1.0] * 3 + [0.0] * 3) is None


@pytest.mark.parametrize(
    ("outcomes", "passes"),
    [("", 0), ("p", 1), ("f", 0), ("ppf", 2), ("pkp", 1), ("spsp", 2), ("sfp", 0), ("ppp", 3), ("sss", 0)],
)
def test_failed_and_flaky_runs_end_a_streak_and_skipped_ones_do_not(outcomes: str, passes: int) -> None:
    assert passes_in_a_row(outcomes) == passes
