"""All lanes of a courier: whose turn it is, which need rows, and when to look again.

As with the lanes themselves there is no I/O and no clock here. What starts goes round the lanes that have something to
send, so that none waits for another's backlog; a lane that has to wait costs nothing until its time has come.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice

from actors.destination import Destination
from actors.endpoint_lane import CONCURRENCY, NOTHING, SLOW_SECONDS, EndpointLane, Started, Wanted
from orchestrator.webhooks.model import Outcome
from storage.deliveries import Due

IN_FLIGHT = 1024
"""Requests under way to all endpoints."""

MOST_SLOW = IN_FLIGHT // 2
"""Of these, to endpoints that are slow or failing; once they hold so many, each gets a single one at a time."""

PREFETCH = 32
"""Rows that a lane holds; only a few, once all lanes hold `MOST_WAITING`."""

MOST_WAITING = 2048
ASKED_AT_ONCE = 1024


class Lanes:
    """Lanes by webhook.

    Attributes:
        in_flight: requests under way in all lanes, those of visitors not counted.
        waiting: rows that wait in all lanes.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, EndpointLane] = {}
        self._ready: deque[EndpointLane] = deque()
        self._is_ready: set[EndpointLane] = set()
        self._hungry: dict[EndpointLane, None] = {}
        self._alarms: list[tuple[float, int, EndpointLane]] = []
        self._alarm_of: dict[EndpointLane, float] = {}
        self._young: dict[str, tuple[float, EndpointLane, bool]] = {}
        self._fast = 0
        self._numbers = count()
        self.in_flight = 0
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[EndpointLane]:
        return iter(self._lanes.values())

    def get(self, webhook_id: str) -> EndpointLane | None:
        """The lane of a webhook."""
        return self._lanes.get(webhook_id)

    def add(self, lane: EndpointLane) -> None:
        """Look after a lane from now on."""
        self._lanes[lane.webhook_id] = lane
        self.look_at(lane)

    def drop(self, lane: EndpointLane) -> None:
        """Start nothing more in a lane; requests under way may still end."""
        self.close(lane)
        self._hungry.pop(lane, None)
        del self._lanes[lane.webhook_id]

    def open(self, lane: EndpointLane, destination: Destination) -> None:
        """As `EndpointLane.open`."""
        lane.open(destination)
        self.look_at(lane)

    def close(self, lane: EndpointLane) -> None:
        """As `EndpointLane.close`."""
        self.waiting -= lane.waiting
        lane.close()

    def forget(self, lane: EndpointLane) -> None:
        """Drop the rows that wait in a lane, to be read again."""
        self.waiting -= lane.waiting
        lane.forget()
        self.look_at(lane)

    def nudge(self, lane: EndpointLane) -> None:
        """There may be rows in a lane that have not been seen yet."""
        lane.nudge()
        self.look_at(lane)

    def look_at(self, lane: EndpointLane) -> None:
        """Something changed in a lane: it may want rows, and it may have something to start."""
        if self._lanes.get(lane.webhook_id) is not lane:
            return
        if lane.wanted(PREFETCH) != NOTHING:
            self._hungry[lane] = None
        if lane not in self._is_ready:
            self._is_ready.add(lane)
            self._ready.append(lane)

    @property
    def are_hungry(self) -> bool:
        """Whether some lane wants rows."""
        return bool(self._hungry)

    def ask(self) -> dict[EndpointLane, Wanted]:
        """What the lanes that want rows have room for; not all at once if they are very many."""
        room = MOST_WAITING - self.waiting
        asked = {}
        for lane in list(islice(self._hungry, ASKED_AT_ONCE)):
            del self._hungry[lane]
            wanted = lane.ask(PREFETCH if room > 0 else CONCURRENCY)
            room -= wanted.due + wanted.retries
            if wanted != NOTHING:
                asked[lane] = wanted
        return asked

    def take_in(
        self,
        asked: Mapping[EndpointLane, Wanted],
        due: Mapping[str, Sequence[Due]],
        retries: Mapping[str, Sequence[Due]],
    ) -> None:
        """Give each lane that was asked the rows of its webhook."""
        for lane, wanted in asked.items():
            self.waiting -= lane.waiting
            lane.take_in(wanted, due.get(lane.webhook_id, ()), retries.get(lane.webhook_id, ()))
            self.waiting += lane.waiting
            self.look_at(lane)

    def start(self, now: float) -> Started | None:
        """The next delivery to be sent now, lane by lane; None if none may."""
        while self._alarms and self._alarms[0][0] <= now:
            moment, _, lane = heapq.heappop(self._alarms)
            if self._alarm_of.get(lane) == moment:
                del self._alarm_of[lane]
                self.look_at(lane)
        self._age(now)
        while self._ready and self.in_flight < IN_FLIGHT:
            lane = self._ready.popleft()
            if lane.is_slow and lane.in_flight and self.in_flight - self._fast >= MOST_SLOW:
                self._is_ready.discard(lane)  # looked at again when what it has under way ends
                continue
            started = lane.start(now)
            if started is not None:
                self._ready.append(lane)
                self._begin(started, now)
                self.waiting -= 1
                if lane.wanted(PREFETCH) != NOTHING:
                    self._hungry[lane] = None
                return started
            self._is_ready.discard(lane)
            self._set_alarm(lane, now + lane.wait(now))
        return None

    def alarm(self) -> float | None:
        """When to call `start` again though nothing else happens."""
        return self._alarms[0][0] if self._alarms else None

    def end(self, started: Started, outcome: Outcome, now: float) -> None:
        """A request of `start` ended."""
        self._end(started)
        started.lane.end(outcome, now)
        self.look_at(started.lane)

    def cut_off(self, started: Started, now: float) -> None:
        """A request of `start` was broken off."""
        self._end(started)
        started.lane.cut_off(started.due, now)
        self.look_at(started.lane)

    def _begin(self, started: Started, now: float) -> None:
        is_fast = not started.lane.is_slow
        self._young[started.due.delivery_id] = now, started.lane, is_fast
        self._fast += is_fast
        self.in_flight += 1

    def _age(self, now: float) -> None:
        """Count requests that have lasted for long as slow, and their lanes with them."""
        while self._young:
            delivery_id, (began, lane, is_fast) = next(iter(self._young.items()))
            if now - began <= SLOW_SECONDS:
                break
            del self._young[delivery_id]
            self._fast -= is_fast
            lane.lingering += 1

    def _end(self, started: Started) -> None:
        self.in_flight -= 1
        young = self._young.pop(started.due.delivery_id, None)
        if young is None:
            started.lane.lingering -= 1
        else:
            self._fast -= young[2]

    def _set_alarm(self, lane: EndpointLane, moment: float) -> None:
        if moment < self._alarm_of.get(lane, math.inf):
            self._alarm_of[lane] = moment
            heapq.heappush(self._alarms, (moment, next(self._numbers), lane))
