"""When each running execution tells webhooks how far it is (X-067)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from actors.deadlines import Deadlines

GRAIN = timedelta(seconds=1)
"""Executions that are due within the same grain are looked at together: one transaction, and not one each."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ProgressClock:
    """Every execution tells its progress once in each interval, be it by its runner's word or by its owner's.

    What is told is in memory only. After a restart an execution goes on in step with its start; its runner's next word
    is told at once.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._grain = min(GRAIN, interval)
        self._due = Deadlines()
        self._told: dict[str, datetime] = {}

    def follow(self, execution_id: str, started_at: datetime, now: datetime) -> None:
        """Tell of this execution from now on, a whole number of intervals after its start."""
        if execution_id not in self._due:
            passed = max(0, (now - started_at) // self._interval)
            self._set(execution_id, started_at + (passed + 1) * self._interval)

    def drop(self, execution_id: str) -> None:
        """Tell nothing more of it."""
        self._due.set(execution_id, None)
        self._told.pop(execution_id, None)

    def is_due(self, execution_id: str, now: datetime) -> bool:
        """Whether nothing has been told of it for a whole interval."""
        told = self._told.get(execution_id)
        return told is None or now - told >= self._interval

    def told(self, execution_ids: Iterable[str], now: datetime) -> None:
        """Something was told of them; a whole interval passes before the next."""
        for execution_id in execution_ids:
            self._told[execution_id] = now
            self._set(execution_id, now + self._interval)

    def next(self) -> datetime | None:
        """When the next execution is to tell."""
        return self._due.next()

    def pop_due(self, now: datetime) -> list[str]:
        """The executions whose time has come; each is due again an interval later."""
        due = self._due.pop_due(now)
        for execution_id in due:
            self._set(execution_id, now + self._interval)
        return due

    def clear(self) -> None:
        """Forget all executions."""
        self._due = Deadlines()
        self._told.clear()

    def _set(self, execution_id: str, moment: datetime) -> None:
        """Due at the end of the grain that the moment is in."""
        self._due.set(execution_id, moment + (_EPOCH - moment) % self._grain)
