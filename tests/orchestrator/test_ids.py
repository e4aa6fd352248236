"""Ids: prefixed, unique, and sorted by the time they were made."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import ids

moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@pytest.mark.contract("X-007")
@given(moments)
def test_an_execution_id_is_digits_with_the_date_first(moment: datetime) -> None:
    made = ids.execution_id(moment)
    assert re.fullmatch(r"exec_\d{8,}", made)
    assert made.startswith(f"exec_{moment:%Y%m%d}")


@given(moments, st.integers(1, 10**9))
def test_later_ids_sort_later(moment: datetime, milliseconds: int) -> None:
    later = moment + timedelta(milliseconds=milliseconds)
    assert ids.new_id("sub", moment) < ids.new_id("sub", later)
    assert ids.execution_id(moment) < ids.execution_id(later)


def test_ids_of_one_moment_differ() -> None:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    assert len({ids.new_id("sub", moment) for _ in range(10_000)}) == 10_000


@pytest.mark.contract("X-086")
def test_the_short_request_id_is_part_of_the_long_one() -> None:
    long = UUID("0198756c-3a51-7f0c-a2d9-a5b7e1c3d5f7")
    assert ids.short_request_id(long) == "req_0198756c3a51"
