"""How far an execution is, shard by shard: what the bars show, fed by live frames or by the shards of `tms run`."""

from dataclasses import dataclass, field
from typing import Any

from tms_sdk.records import Counters

_WHILE_RUNNING = frozenset({"started", "claimed", "progress", "released"})

ENDED = frozenset({"completed", "failed", "error", "lost", "cancelled"})


def no_counters() -> Counters:
    """Return counters before the first test."""
    return {"total": 0, "passed": 0, "failed": 0, "skipped": 0, "flaky": 0}


@dataclass
class ShardProgress:
    """One shard.

    Attributes:
        shard_id: its number, as text.
        status: pending, running, or how it ended.
        results: the tests that have ended; of a running shard, so far as its runner tells.
        planned: the tests it will run, where that is known.
        running: the test running now, where that is known.
    """

    shard_id: str
    status: str = "pending"
    results: Counters = field(default_factory=no_counters)
    planned: int | None = None
    running: str = ""

    @property
    def ended(self) -> bool:
        """Whether the shard has ended, well or not."""
        return self.status in ENDED


@dataclass
class ExecutionProgress:
    """One execution. `failed_tests` are as `execution.completed` lists them (X-070)."""

    execution_id: str
    status: str = "created"
    shards: dict[str, ShardProgress] = field(default_factory=dict)
    results: Counters = field(default_factory=no_counters)
    failed_tests: list[dict[str, Any]] = field(default_factory=list)

    def shard(self, shard_id: str) -> ShardProgress:
        """Return a shard, which is made where it is new."""
        return self.shards.setdefault(shard_id, ShardProgress(shard_id))

    def plan(self, shards: int) -> None:
        """Know of all shards from 1 to `shards`."""
        for number in range(1, shards + 1):
            self.shard(str(number))

    def apply(self, frame: dict[str, Any]) -> None:
        """Take in a live frame; what it does not tell stays as it was."""
        if frame["type"] == "snapshot":
            self._take_execution(frame["execution"])
        elif frame["type"] == "event":
            self._take_event(frame["event"], frame.get("data") or {})

    def _take_execution(self, execution: dict[str, Any]) -> None:
        self.status = execution["status"]
        self.plan((execution.get("progress") or {}).get("totalShards") or 0)
        self._take_results(execution)

    def _take_event(self, event: str, data: dict[str, Any]) -> None:
        subject, _, verb = event.partition(".")
        if subject == "execution":
            self.status = "running" if verb in {"started", "progress"} else verb
            self.plan((data.get("configuration") or {}).get("shards") or 0)
            self._take_results(data)
            self.failed_tests = data.get("failedTests") or self.failed_tests
        elif subject == "shard" and "shardId" in data:
            shard = self.shard(data["shardId"])
            if verb in _WHILE_RUNNING:
                shard.status = shard.status if shard.ended else "running"
            else:
                shard.status = data.get("status", verb)
            shard.planned = (data.get("shardPlan") or {}).get("planned", shard.planned)
            shard.results = _counters(data.get("results"), shard.results)
            self.results = self._sum()

    def _take_results(self, data: dict[str, Any]) -> None:
        for result in data.get("shardResults") or []:
            shard = self.shard(result["shardId"])
            shard.status = result["status"]
            shard.results = _counters(result.get("results"), shard.results)
            shard.planned = (result.get("plan") or {}).get("planned", shard.planned)
        self.results = _counters(data.get("results"), self._sum())

    def _sum(self) -> Counters:
        total = no_counters()
        for shard in self.shards.values():
            for name in ("total", "passed", "failed", "skipped", "flaky"):
                total[name] += shard.results[name]
        return total


def _counters(told: dict[str, int] | None, former: Counters) -> Counters:
    """Return the counters told; those left out are as they were, or 0 where others are told (`flaky` often is)."""
    if not told:
        return former
    return {
        "total": told.get("total") or 0,
        "passed": told.get("passed") or 0,
        "failed": told.get("failed") or 0,
        "skipped": told.get("skipped") or 0,
        "flaky": told.get("flaky") or 0,
    }
