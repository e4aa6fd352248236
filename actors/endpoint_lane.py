"""The lane of one endpoint: which of its deliveries may start now, which have to wait, and for how long.

No I/O and no clock: every `now` is a reading of one monotonic clock, in seconds. The order of first attempts, the
number of requests under way, the rate and the breaker are exact, for one process alone sends to an endpoint.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from actors.destination import Destination
from orchestrator.webhooks import schedule
from orchestrator.webhooks.model import Outcome
from orchestrator.webhooks.pacing import Breaker, Rate
from storage.deliveries import Due

CONCURRENCY = 4
"""Requests under way to one endpoint; of one that is failing, a single one."""

SLOW_SECONDS = 1.0
LULL = timedelta(days=1)
"""Between two failures, after which the second begins anew: they do not tell that the endpoint failed in between."""


class Started(msgspec.Struct, frozen=True):
    """A delivery that is to be sent now."""

    lane: "EndpointLane"
    due: Due
    destination: Destination


class Wanted(msgspec.Struct, frozen=True):
    """How many rows a lane has room for: in the order of their time, and of those tried before."""

    due: int
    retries: int


NOTHING = Wanted(0, 0)


class EndpointLane:
    """Deliveries to one endpoint. Rows are known from when they are taken in until their outcome is recorded.

    Args:
        webhook_id: whose endpoint it is.
        rate: requests a second, 0 for no limit.

    Attributes:
        destination: where deliveries go; None while none may be sent, for the webhook is not active.
        failing_since: the first failure since the last success, or since a lull; None while the endpoint works.
        held: the deliveries that wait here, are under way, or ended and are not recorded yet.
        in_flight: requests under way.
        lingering: of these, deliveries that have lasted for long already.
        visitors: those who are about to send beside the deliveries, or wait for what is under way.
    """

    def __init__(self, webhook_id: str, rate: int) -> None:
        self.webhook_id = webhook_id
        self.destination: Destination | None = None
        self.failing_since: datetime | None = None
        self.held: set[str] = set()
        self.in_flight = 0
        self.lingering = 0
        self.visitors = 0
        self._was_fast = False
        self._failed_at: datetime | None = None
        self._rate = Rate(rate)
        self._breaker = Breaker()
        self._firsts: deque[Due] = deque()
        self._retries: deque[Due] = deque()
        self._peace_until = -math.inf
        self._has_more = True
        self._has_more_retries = True

    @property
    def waiting(self) -> int:
        """Rows taken in and not started."""
        return len(self._firsts) + len(self._retries)

    @property
    def is_held_back(self) -> bool:
        """Whether the breaker is open."""
        return self._breaker.is_open

    @property
    def is_slow(self) -> bool:
        """Whether the last request failed or took long, one under way does, or none has ended yet."""
        return self.lingering > 0 or not self._was_fast

    def open(self, destination: Destination) -> None:
        """Let deliveries start, to this destination from now on. What a closed lane had against it is forgotten."""
        if self.destination is None:
            self._breaker.succeed()
            self._peace_until = -math.inf
        self.destination = destination

    def close(self) -> None:
        """Let nothing start until the lane is opened again, and drop the rows that wait."""
        self.destination = None
        self.forget()

    def rest(self, until: float) -> None:
        """Send nothing before then: what the endpoint was sent before is unknown."""
        self._rate.rest(until)

    def nudge(self) -> None:
        """There may be rows that have not been seen yet."""
        self._has_more = self._has_more_retries = True

    def wanted(self, most: int) -> Wanted:
        """What the lane has room for, if it is to hold so many rows; nothing until a good part of them is used up.

        Retries are asked for by themselves where a backlog of first attempts may hide them. While the breaker is open,
        first attempts only wait here, so that one is enough.
        """
        if self.destination is None:
            return NOTHING
        room = most - len(self._retries) if len(self._retries) <= most // 4 else 0
        retries = room if self._has_more_retries else 0
        if self._breaker.is_open:
            return Wanted(1 if room and self._has_more and not self._firsts else 0, retries)
        if self._has_more and self.waiting <= most // 4:
            return Wanted(most - self.waiting, 0)
        return Wanted(0, retries)

    def ask(self, most: int) -> Wanted:
        """As `wanted`; the answer is under way, and what a nudge tells from now on is news."""
        wanted = self.wanted(most)
        if wanted.due:
            self._has_more = False
        if wanted != NOTHING:
            # All retries are seen, unless the answer is full.
            self._has_more_retries = False
        return wanted

    def take_in(self, asked: Wanted, due: Sequence[Due], retries: Sequence[Due]) -> None:
        """Take in the answer, each part in the order in which it is to be sent; if it is not too late."""
        if self.destination is None:
            return
        is_full = len(due) == asked.due > 0
        self._has_more |= is_full
        self._has_more_retries |= is_full or len(retries) == asked.retries > 0
        for row in (*retries, *due):
            if row.delivery_id not in self.held:
                self.held.add(row.delivery_id)
                (self._retries if row.tries else self._firsts).append(row)

    def wait(self, now: float) -> float:
        """Seconds until something may start, 0 if it may now; infinite if that takes new rows or the end of a request.

        A failing endpoint gets one request at a time: as long as each ends in a timeout, it shall not hold much of what
        all endpoints share.
        """
        is_busy = self.in_flight >= (CONCURRENCY if self.failing_since is None else 1)
        if self.destination is None or self.visitors or is_busy:
            return math.inf
        if self._retries:
            seconds = self._rate.wait(now)
        elif self._firsts:
            seconds = max(self._rate.wait(now), self._breaker.wait(now))
        else:
            return math.inf
        return max(seconds, self._peace_until - now)

    def start(self, now: float) -> Started | None:
        """The delivery to be sent now, if one may; those tried before go first."""
        if self.destination is None or self.wait(now) > 0:
            return None
        due = (self._retries or self._firsts).popleft()
        if not due.tries:
            self._breaker.begin(now)
        self._begin()
        return Started(self, due, self.destination)

    def end(self, outcome: Outcome, now: float) -> None:
        """A request of `start` ended; its delivery is held until it is `recorded`."""
        self._end(now)
        self._peace_until = max(self._peace_until, now + schedule.pause(outcome))
        self._was_fast = outcome.is_success and outcome.duration_ms <= SLOW_SECONDS * 1000
        if outcome.is_success:
            self._breaker.succeed()
            self.failing_since = None
        else:
            self._breaker.fail(now)
            if self.failing_since is None or (self._failed_at is not None and outcome.at - self._failed_at > LULL):
                self.failing_since = outcome.at
            self._failed_at = outcome.at

    def cut_off(self, due: Due, now: float) -> None:
        """A request of `start` was broken off; its delivery is still to be made."""
        self._end(now)
        self.held.discard(due.delivery_id)
        self.nudge()

    def recorded(self, delivery_id: str) -> None:
        """What became of a delivery is in the database."""
        self.held.discard(delivery_id)

    def forget(self) -> None:
        """Drop the rows that wait here; what is under way or not recorded yet stays known."""
        self.held.difference_update(row.delivery_id for row in (*self._firsts, *self._retries))
        self._firsts.clear()
        self._retries.clear()
        self.nudge()

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Start nothing meanwhile: somebody else is about to send, or waits for what is under way."""
        self.visitors += 1
        try:
            yield
        finally:
            self.visitors -= 1

    def visitor_wait(self, now: float) -> float:
        """Seconds until a request beside the deliveries may start; the rate alone counts for it."""
        return self._rate.wait(now)

    def visitor_begin(self) -> None:
        """A request beside the deliveries starts."""
        self._begin()

    def visitor_end(self, now: float, *, is_success: bool) -> None:
        """It ended. Its success lets the deliveries through again; its failure says nothing about them."""
        self._end(now)
        if is_success:
            self._breaker.succeed()
            self.failing_since = None
            self._peace_until = -math.inf

    def _begin(self) -> None:
        self._rate.begin()
        self.in_flight += 1

    def _end(self, now: float) -> None:
        self._rate.end(now)
        self.in_flight -= 1
