"""Moments as they are printed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.timestamps import milliseconds, to_text, to_text_or_none, truncate

zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - bounds


@pytest.mark.contract("X-008")
def test_milliseconds_and_z() -> None:
    assert to_text(datetime(2025, 8, 4, 12, 34, 56, 789_999, tzinfo=UTC)) == "2025-08-04T12:34:56.789Z"
    assert to_text_or_none(None) is None


@given(moments)
def test_what_is_truncated_is_what_is_printed(moment: datetime) -> None:
    cut = truncate(moment)
    assert datetime.fromisoformat(to_text(moment)) == cut
    assert timedelta() <= moment - cut < timedelta(milliseconds=1)


def test_whole_milliseconds_of_a_duration() -> None:
    assert milliseconds(timedelta(seconds=1, microseconds=1999)) == 1001
