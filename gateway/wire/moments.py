"""Moments that clients send: any that a calendar, a log and the store can all hold."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from msgspec import Meta

_FIRST_YEAR = 1970
_LAST_YEAR = 2199

Timestamp = Annotated[
    datetime, Meta(tz=True, description="ISO 8601 with `Z` or an offset, any fraction of a second; 1970 to 2199")
]
PrintedMoment = Annotated[str, Meta(description="ISO 8601, UTC, milliseconds", examples=["2025-08-04T12:34:56.789Z"])]


def is_in_range(moment: datetime) -> bool:
    """Whether sums and other time zones of it are moments too."""
    return _FIRST_YEAR <= moment.year <= _LAST_YEAR


def check(moments: Iterable[datetime | None]) -> None:
    """For `__post_init__` of structs that hold timestamps.

    Raises:
        ValueError: one is out of range.
    """
    if any(moment is not None and not is_in_range(moment) for moment in moments):
        raise ValueError(f"Must be between the years {_FIRST_YEAR} and {_LAST_YEAR}")
