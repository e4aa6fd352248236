"""How fast an endpoint is called: never more than its rate, and hardly while it fails. The clock is passed in.

Every `now` is a reading of one monotonic clock, in seconds.
"""

import math
from collections import deque
from typing import Final

WINDOW: Final = 1.0
"""The second of "requests per second"."""

FAILURES_TO_OPEN: Final = 10
FIRST_COOL_DOWN: Final = 30.0
LONGEST_COOL_DOWN: Final = 300.0


class Rate:
    """Lets requests start so that no receiver ever sees more than `limit` of them in any one second (X-076).

    A request arrives somewhere between its start and its end, and nobody here knows when. So it takes one of `limit`
    places from its start until one second after its end: two requests that had the same place are a second apart
    wherever between start and end they arrived.
    """

    def __init__(self, limit: int) -> None:
        """Make one that lets `limit` requests a second pass; 0 lets all pass."""
        self._limit = limit
        self._in_flight = 0
        self._ends: deque[float] = deque()
        self._resting_until = -math.inf

    def rest(self, until: float) -> None:
        """Let nothing start before then, such as while it is unknown what the receiver saw of late."""
        self._resting_until = max(self._resting_until, until)

    def wait(self, now: float) -> float:
        """Seconds until a request may start, 0 if it may at once; infinite if one must end first."""
        while self._ends and self._ends[0] + WINDOW <= now:
            self._ends.popleft()
        free_at = now
        if self._limit and self._in_flight >= self._limit:
            free_at = math.inf
        elif self._limit and self._in_flight + len(self._ends) >= self._limit:
            free_at = self._ends[self._in_flight + len(self._ends) - self._limit] + WINDOW
        return max(free_at, self._resting_until, now) - now

    def begin(self) -> None:
        """A request starts."""
        self._in_flight += 1

    def end(self, now: float) -> None:
        """A request that was begun ended, however it did."""
        self._in_flight -= 1
        if self._limit:
            self._ends.append(now)


class Breaker:
    """Spares an endpoint that fails, and us the attempts: new deliveries wait while it is open.

    `FAILURES_TO_OPEN` failures in a row open it, any success closes it. While it is open, one first attempt is let
    through per cool-down, which doubles each time up to `LONGEST_COOL_DOWN`. Retries do not ask it: they keep their
    schedule, and are how an endpoint that came back is noticed.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._cool_down = FIRST_COOL_DOWN
        self._probe_at = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether first attempts are held back."""
        return self._failures >= FAILURES_TO_OPEN

    def wait(self, now: float) -> float:
        """Seconds until a first attempt may start, 0 if it may at once."""
        return max(self._probe_at - now, 0.0) if self.is_open else 0.0

    def begin(self, now: float) -> None:
        """A first attempt starts; the next one, if this does not succeed, has to wait for longer."""
        if self.is_open:
            self._cool_down = min(2 * self._cool_down, LONGEST_COOL_DOWN)
            self._probe_at = now + self._cool_down

    def succeed(self) -> None:
        """An attempt of any kind succeeded."""
        self._failures = 0
        self._cool_down = FIRST_COOL_DOWN

    def fail(self, now: float) -> None:
        """An attempt of any kind failed."""
        self._failures += 1
        if self._failures == FAILURES_TO_OPEN:
            self._probe_at = now + self._cool_down
