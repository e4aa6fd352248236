"""Deadlines of many executions, the next one at hand."""

import heapq
from datetime import datetime, timedelta


class Deadlines:
    """A moment for each key; changing or dropping one is cheap, and what is dropped takes no room for long."""

    def __init__(self) -> None:
        self._moments: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._moments)

    def __contains__(self, key: str) -> bool:
        """Whether this key has a deadline."""
        return key in self._moments

    def set(self, key: str, moment: datetime | None) -> None:
        """Set, move, or (None) drop the deadline of a key."""
        if moment is None:
            self._moments.pop(key, None)
        elif self._moments.get(key) != moment:
            self._moments[key] = moment
            heapq.heappush(self._heap, (moment, key))
        if len(self._heap) > 2 * len(self._moments) + 1000:
            self._heap = [(moment, key) for key, moment in self._moments.items()]
            heapq.heapify(self._heap)

    def bring_forward(self, key: str, moment: datetime) -> None:
        """Set the deadline of a key, unless it has an earlier one."""
        known = self._moments.get(key)
        if known is None or moment < known:
            self.set(key, moment)

    def postpone(self, key: str, by: timedelta) -> None:
        """Move the deadline of a key, if it has one."""
        known = self._moments.get(key)
        if known is not None:
            self.set(key, known + by)

    def next(self) -> datetime | None:
        """The earliest deadline, None if there is none."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: datetime) -> list[str]:
        """Take out the keys whose deadline has come."""
        found = []
        while (moment := self.next()) is not None and moment <= now:
            key = heapq.heappop(self._heap)[1]
            del self._moments[key]
            found.append(key)
        return found
