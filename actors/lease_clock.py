"""When each runner's lease lapses, unless it shows that it lives."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from actors.deadlines import Deadlines
from orchestrator.executions.model import Execution


class HeldLease(msgspec.Struct, frozen=True):
    """One open lease."""

    execution_id: str
    number: int


class LeaseClock:
    """Counts the time since each runner's last sign of life, in memory only.

    Signs of life are not stored: a heartbeat costs no row. After a restart every lease has its full time again, which
    harms nobody: what fences a former holder off is the lease's number, and that is stored.
    """

    def __init__(self, length: timedelta) -> None:
        self._length = length
        self._due = Deadlines()
        self._open: dict[str, frozenset[int]] = {}
        self._lapsed: set[HeldLease] = set()

    def __len__(self) -> int:
        """How many leases are open."""
        return len(self._due)

    def follow(self, execution: Execution, now: datetime) -> None:
        """Watch the leases that an execution has now, and no others of it."""
        numbers = frozenset() if execution.deal is None else frozenset(one.number for one in execution.deal.leases)
        self._set(execution.execution_id, numbers, now)

    def resume(self, leases: Mapping[str, Collection[int]], now: datetime) -> None:
        """Watch the leases that are open at a start: execution id to numbers."""
        for execution_id, numbers in leases.items():
            self._set(execution_id, frozenset(numbers), now)

    def renew(self, lease: HeldLease, now: datetime) -> None:
        """Its runner has shown that it lives."""
        if lease.number in self._open.get(lease.execution_id, ()):
            self._due.set(_key(lease.execution_id, lease.number), now + self._length)
            self._lapsed.discard(lease)

    def grant(self, length: timedelta) -> None:
        """Give all runners more time: so long nobody could hear them."""
        for execution_id, numbers in self._open.items():
            for number in numbers:
                self._due.postpone(_key(execution_id, number), length)
        self._lapsed.clear()

    def has_lapsed(self, lease: HeldLease) -> bool:
        """Whether a lease was due, and its runner has shown no sign of life since."""
        return lease in self._lapsed

    def next(self) -> datetime | None:
        """When the next lease lapses."""
        return self._due.next()

    def pop_due(self, now: datetime) -> list[HeldLease]:
        """The leases that lapse now; one whose end cannot be stored has its time again."""
        due = [_lease(key) for key in self._due.pop_due(now)]
        for lease in due:
            self._due.set(_key(lease.execution_id, lease.number), now + self._length)
        self._lapsed.update(due)
        return due

    def clear(self) -> None:
        """Forget all leases."""
        self._due = Deadlines()
        self._open.clear()
        self._lapsed.clear()

    def _set(self, execution_id: str, numbers: frozenset[int], now: datetime) -> None:
        before = self._open.get(execution_id, frozenset())
        for number in before - numbers:
            self._due.set(_key(execution_id, number), None)
            self._lapsed.discard(HeldLease(execution_id, number))
        for number in numbers - before:
            self._due.set(_key(execution_id, number), now + self._length)
        if numbers:
            self._open[execution_id] = numbers
        else:
            self._open.pop(execution_id, None)


def _key(execution_id: str, number: int) -> str:
    return f"{execution_id} {number}"


def _lease(key: str) -> HeldLease:
    execution_id, _, number = key.partition(" ")
    return HeldLease(execution_id, int(number))
