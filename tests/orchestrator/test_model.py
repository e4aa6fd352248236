"""Totals: counted, sent, and settled from both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.executions.model import SentTotals, TestResult, TestStatus, Totals, count, settle

counters = st.integers(0, 10**6)
totals = st.builds(Totals, counters, counters, counters, counters, counters)
sent = st.builds(SentTotals, *[st.none() | counters for _ in range(5)])


def test_a_test_that_passed_on_a_retry_is_flaky() -> None:
    tests = [
        TestResult("a", TestStatus.PASSED, retries=2),
        TestResult("b", TestStatus.PASSED, retries=0),
        TestResult("c", TestStatus.FAILED, retries=2),
        TestResult("d", TestStatus.SKIPPED),
    ]
    assert count(tests) == Totals(total=4, passed=2, failed=1, skipped=1, flaky=1)


@pytest.mark.contract("X-058")
def test_counters_that_were_sent_count_though_fewer_tests_are_listed() -> None:
    listed = count([TestResult("one of fifty", TestStatus.PASSED)])
    assert settle(SentTotals(50, 45, 3, 2, 1), listed) == Totals(50, 45, 3, 2, 1)


@pytest.mark.contract("X-054")
def test_without_counters_the_tests_are_counted() -> None:
    listed = Totals(4, 2, 1, 1, 1)
    assert settle(SentTotals(), listed) == listed
    assert settle(SentTotals(total=4, passed=2), listed) == listed


def test_a_total_that_was_not_sent_covers_its_parts() -> None:
    assert settle(SentTotals(passed=95, failed=5), Totals()).total == 100


@given(sent, totals)
def test_every_counter_that_was_sent_is_kept(given_totals: SentTotals, counted: Totals) -> None:
    settled = settle(given_totals, counted)
    for name in Totals.__struct_fields__:
        value = getattr(given_totals, name)
        if value is not None:
            assert getattr(settled, name) == value
        elif name != "total":
            assert getattr(settled, name) == getattr(counted, name)


@given(st.lists(totals))
def test_a_sum_is_counter_by_counter(parts: list[Totals]) -> None:
    whole = sum(parts, Totals())
    for name in Totals.__struct_fields__:
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
