"""When to ask again, and how long to wait before it."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRYABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retry:
    """How stubborn to be.

    Attributes:
        attempts: tries in all, the first included.
        first_delay: longest wait in seconds after the first failure; it doubles with each further one.
        longest_delay: where the doubling stops, in seconds.
        total: seconds after which no new try is begun, however many are left.
    """

    attempts: int = 6
    first_delay: float = 0.5
    longest_delay: float = 20.0
    total: float = 60.0

    def delay(self, failures: int, chance: float, retry_after: float | None = None) -> float:
        """Return the seconds to wait after so many failures in a row (1, 2, 3…).

        `chance` is a random number from 0 to 1. All of the wait is random (full jitter), so that runners that failed
        together do not come back together; a server's own `retry_after` is a floor under it.
        """
        # 2.0 ** 1024 overflows, and the cap is reached long before 2.0 ** 64.
        longest = min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 64))
        return (retry_after or 0.0) + chance * longest


class Patience:
    """How long a server has been away, and when to look for it next.

    Args:
        seconds: how long it may be away before one goes on without it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._retry = Retry(longest_delay=5.0)
        self._failures = 0
        self._since = 0.0

    def fail(self, now: float) -> None:
        """Note that it did not answer. `now` are seconds that only grow."""
        self._since = now if not self._failures else self._since
        self._failures += 1

    def end(self) -> None:
        """Note that it has answered."""
        self._failures = 0

    def is_over(self, now: float) -> bool:
        """Tell whether it has been away for too long."""
        return self._failures > 0 and now - self._since >= self._seconds

    def delay(self) -> float:
        """Return the seconds to wait before the next look, random as `Retry` has it."""
        return self._retry.delay(self._failures, random.random())  # noqa: S311 - jitter spreads load


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds or an HTTP date (RFC 9110 10.2.3). None where absent or unreadable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
