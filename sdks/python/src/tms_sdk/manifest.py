"""What pytest has collected, and how it and the server understand each other about it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tms_sdk.records import Record, clean, file_of, title_of, usable_name
from tms_sdk.wire import Claim, ClaimedTest, Mode, TestName, UnitOrder

ORDERS: Mapping[str, UnitOrder] = {"duration": "duration", "failed-first": "failedFirst"}
"""What our options call what may come first."""

TAIL_MS = 500.0
"""How long the end of a lease should take: time for the server to answer, and little that others might do earlier."""

# The server takes no more labels of a test, and no longer ones.
_MOST_LABELS = 100
_LONGEST_LABEL = 255

Name = tuple[str, str]
"""A test's file and title, as the server has them."""


@dataclass(frozen=True, slots=True)
class Dealing:
    """How the tests are dealt out, where this runner is the first to have a plan.

    Attributes:
        mode: in batches as runners ask, or in shards that are fixed beforehand.
        order: what comes first.
        rerun_of: an execution of which only what failed or is missing is run; None for all tests.
    """

    mode: Mode = "queue"
    order: UnitOrder = "duration"
    rerun_of: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Tests to run.

    Attributes:
        lease_id: what they are reported under.
        shard_id: the shard they belong to.
        seconds: how long it holds without a sign of life.
        tests: ids, in the order in which to run them.
        quarantined: ids of those whose failures do not count.
        strangers: names of tests that are to be run, and were not collected here.
        last: whether this runner will hardly get another one.
        tail: ids of those at its end in which to ask for more; none of the last lease.
    """

    lease_id: str
    shard_id: str
    seconds: float
    tests: list[str]
    quarantined: list[str]
    strangers: list[Name]
    last: bool
    tail: frozenset[str]


@dataclass
class Manifest:
    """What pytest has collected, by pytest's node ids. The server knows tests by their names only.

    Attributes:
        tests: by id: `file`, `title`, `labels`.
        ready: by id, results that were there before anything was run: files that failed or were skipped as a whole.
        sizes: bytes of each file.
        runnable: whether pytest would run the tests.
    """

    tests: dict[str, dict[str, Any]]
    ready: dict[str, Record]
    sizes: dict[str, int]
    runnable: bool
    _ids: dict[Name, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for test_id, test in self.tests.items():
            self._ids.setdefault((usable_name(test["file"]), usable_name(test["title"])), []).append(test_id)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Manifest":
        """Read pytest's line."""
        ready = {_id(record): record for record in told["ready"]}
        tests: dict[str, dict[str, Any]] = {
            test_id: {"file": file_of(test_id), "title": title_of(test_id), "labels": labels}
            for test_id, labels in told["tests"].items()
        }
        for test_id, record in ready.items():
            tests[test_id] = {"file": record["file"], "title": record["title"], "labels": []}
        return cls(tests, ready, told["sizes"], told["runnable"])

    def plan(self, dealing: Dealing) -> dict[str, Any]:
        """Print it as `PUT …/plan` takes it. Ids are left out: 200,000 tests have to fit into a request."""
        tests = []
        for (file, title), ids in self._ids.items():
            test: dict[str, Any] = {"file": file, "title": title}
            if labels := _labels(self.tests[ids[0]]["labels"]):
                test["labels"] = labels
            tests.append(test)
        plan = {
            "mode": dealing.mode,
            "tests": tests,
            "sizes": {usable_name(file): size for file, size in self.sizes.items()},
            "order": dealing.order,
            "rerunOf": dealing.rerun_of,
        }
        return {name: value for name, value in plan.items() if value is not None}

    def ids(self, tests: Iterable[TestName | ClaimedTest]) -> list[str]:
        """Return the ids of those of some tests that were collected here."""
        return [test_id for test in tests for test_id in self._ids.get((test["file"], test["title"]), ())]

    def lease(self, claim: Claim, *, is_whole: bool) -> Lease:
        """Read a lease, which may be that of the whole shard."""
        last = is_whole or claim["remaining"] <= len(claim["tests"])
        return Lease(
            lease_id=claim["leaseId"] or "",
            shard_id=claim["shardId"] or "",
            seconds=float(claim["leaseSeconds"] or 30),
            tests=self.ids(claim["tests"]),
            quarantined=self.ids(test for test in claim["tests"] if test.get("quarantined")),
            strangers=[name for test in claim["tests"] if (name := (test["file"], test["title"])) not in self._ids],
            last=last,
            tail=frozenset() if last else frozenset(self.ids(_tail(claim["tests"]))),
        )


def _tail(tests: list[ClaimedTest]) -> Iterator[ClaimedTest]:
    """Go back from the last test, as long as what follows is expected to be short."""
    rest_ms = 0.0
    for test in reversed(tests):
        yield test
        rest_ms += test.get("expectedDuration", TAIL_MS)
        if rest_ms >= TAIL_MS:
            return


def _id(record: Record) -> str:
    return record["file"] if record["title"] == record["file"] else f"{record['file']}::{record['title']}"


def _labels(marks: Iterable[str]) -> list[str]:
    usable = (clean(mark) for mark in marks)
    return [label for label in usable if 0 < len(label) <= _LONGEST_LABEL][:_MOST_LABELS]
