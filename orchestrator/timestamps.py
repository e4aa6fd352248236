"""Moments as the X family writes them: ISO 8601, UTC, milliseconds, `Z` (X-008, X-046)."""

from datetime import UTC, datetime, timedelta


def to_text(moment: datetime) -> str:
    """`2025-08-04T12:34:56.789Z`; the rest below a millisecond is cut off."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_text_or_none(moment: datetime | None) -> str | None:
    """As `to_text`, with None for what has not happened yet."""
    return None if moment is None else to_text(moment)


def truncate(moment: datetime) -> datetime:
    """The moment in UTC as `to_text` prints it, so that printed durations equal the difference of printed times."""
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)
