"""Plans, leases and streamed results as docs/runners.md has them, for the fake server: rules without a network."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Test = dict[str, Any]
Name = tuple[str, str]


class Flaw(Exception):
    """A request breaks the contract: the field, and what is wrong with it."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name} {words}")
        self.name = name
        self.words = words


@dataclass
class Lease:
    lease_id: str
    runner_id: str
    shard_id: str
    tests: list[Name]
    attempt: int
    expires: float
    is_open: bool = True


@dataclass
class Plan:
    """One execution's plan, and how far it is.

    Attributes:
        state: of each planned test: waiting, claimed, reported or missing.
        streamed: what counts, by shard.
        late: what does not.
        quarantined: names of tests to mark so.
        wanted: what a rerun may plan; None for all.
        gives_ahead, expected_ms: as in `FakeTMS`.
        left_out: what it did not.
        wait_seconds: after which whoever gets nothing asks again.
        waits: these seconds, as often as somebody was told.
    """

    body: dict[str, Any]
    shards: int
    lease_seconds: float
    quarantined: set[str] = field(default_factory=set)
    wanted: set[Name] | None = None
    gives_ahead: bool = True
    expected_ms: float | None = None
    left_out: set[Name] = field(default_factory=set)
    tests: dict[Name, Test] = field(default_factory=dict)
    state: dict[Name, str] = field(default_factory=dict)
    owner: dict[Name, str] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    streamed: dict[str, list[Test]] = field(default_factory=dict)
    late: list[Test] = field(default_factory=list)
    unexpected: int = 0
    runners: dict[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.05
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        check(self.body)
        for test in self.body["tests"]:
            name = test["file"], test["title"]
            if self.wanted is not None and name not in self.wanted:
                self.left_out.add(name)
                continue
            self.tests[name] = test
            self.state[name] = "waiting"
        files: dict[str, int] = {}
        for file, _ in self.tests:
            files[file] = files.get(file, 0) + 1
        loads = dict.fromkeys(map(str, range(1, self.shards + 1)), 0)
        shard_of = {}
        for file in sorted(files, key=lambda one: -files[one]):
            shard_of[file] = min(loads, key=lambda shard: loads[shard])
            loads[shard_of[file]] += files[file]
        for name in self.tests:
            self.owner[name] = shard_of[name[0]]

    def printed(self, execution_id: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        asked = {(test["file"], test["title"]) for test in body["tests"]} if body else self.tests.keys()
        missing, unexpected = self.tests.keys() - asked, asked - self.tests.keys() - self.left_out
        differs = None
        if missing or unexpected:
            differs = {
                "missing": len(missing),
                "unexpected": len(unexpected),
                "missingTests": [{"file": file, "title": title} for file, title in sorted(missing)[:100]],
                "unexpectedTests": [{"file": file, "title": title} for file, title in sorted(unexpected)[:100]],
            }
        shards = [
            {"shardId": str(number), "expectedDuration": 0, "tests": 0, "units": 0}
            for number in range(1, self.shards + 1)
        ]
        return {
            "executionId": execution_id,
            "mode": self.body["mode"],
            "createdAt": "2025-08-04T12:34:56.789Z",
            "tests": len(self.tests),
            "units": len({file for file, _ in self.tests}),
            "knownTests": 0,
            "expectedDuration": 0,
            "shards": shards,
            "differs": differs,
            "quarantined": [{"file": file, "title": title} for file, title in self.tests if title in self.quarantined],
        }

    def claim(self, body: dict[str, Any]) -> dict[str, Any]:
        self.lapse()
        runner_id, asked, done = body["runnerId"], body.get("shardId"), body.get("done")
        if asked is not None and not (asked.isdigit() and 1 <= int(asked) <= self.shards):
            raise Flaw("shardId", f"{asked} is outside the plan")
        if done is not None:
            self.end(done, runner_id, "missing")
        if asked is not None and self._holder(asked) not in {None, runner_id}:
            return self._nothing(waits=self.unsettled() > 0)
        shard_id = asked or self.runners.get(runner_id) or self._free_shard()
        self.runners[runner_id] = shard_id
        held = [lease for lease in self.leases.values() if lease.is_open and lease.runner_id == runner_id]
        if held and any(self.state[name] == "claimed" for name in held[0].tests):
            if body.get("ahead") and self.gives_ahead and self._has_enough():
                self._claim_more(held[0])
            return self._leased(held[0])
        for lease in held:
            lease.is_open = False
        if asked is None and self.body["mode"] == "static" and held:
            shard_id = self.runners[runner_id] = self._abandoned_shard(shard_id)
        lease = self._lease(runner_id, shard_id)
        if lease.tests:
            return self._leased(lease)
        # Somebody else's lease may lapse. This runner has one without tests, until it closes its shard.
        waits = (self.body["mode"] == "queue" or asked is None) and self.unsettled() > 0
        return self._nothing(waits=waits) | {"leaseId": lease.lease_id, "shardId": shard_id}

    def _nothing(self, *, waits: bool) -> dict[str, Any]:
        if not waits:
            return nothing("done")
        self.waits.append(self.wait_seconds)
        return nothing("wait") | {"retryAfter": self.wait_seconds}

    def _has_enough(self) -> bool:
        """Whether each other shard would find a file if one was given ahead."""
        files = {file for (file, _), state in self.state.items() if state == "waiting"}
        return self.body["mode"] == "queue" and len(files) >= self.shards

    def unsettled(self) -> int:
        """How many tests are neither reported nor missing."""
        return sum(state in {"waiting", "claimed"} for state in self.state.values())

    def _abandoned_shard(self, own: str) -> str:
        """A shard of a static plan that has tests and no runner, for one who is through with its own."""
        if any(state == "waiting" and self.owner[name] == own for name, state in self.state.items()):
            return own
        held = {lease.shard_id for lease in self.leases.values() if lease.is_open}
        waiting = (self.owner[name] for name, state in self.state.items() if state == "waiting")
        return next((shard_id for shard_id in waiting if shard_id not in held), own)

    def _free_shard(self) -> str:
        taken = set(self.runners.values())
        numbers = [str(number) for number in range(1, self.shards + 1)]
        return next((number for number in numbers if number not in taken), numbers[0])

    def _lease(self, runner_id: str, shard_id: str) -> Lease:
        number = len(self.leases) + 1
        lease = Lease(f"lease_{number}", runner_id, shard_id, [], 1, time.monotonic() + self.lease_seconds)
        self.leases[lease.lease_id] = lease
        self._claim_more(lease)
        return lease

    def _claim_more(self, lease: Lease) -> None:
        waiting = [name for name in self.tests if self.state[name] == "waiting"]
        if self.body["mode"] == "static":
            chosen = [name for name in waiting if self.owner[name] == lease.shard_id]
        else:
            files = list(dict.fromkeys(file for file, _ in waiting))
            batch = set(files[: max(1, len(files) // (2 * self.shards))])
            chosen = [name for name in waiting if name[0] in batch]
        lease.tests += chosen
        for name in chosen:
            self.state[name] = "claimed"

    def _leased(self, lease: Lease) -> dict[str, Any]:
        lease.expires = time.monotonic() + self.lease_seconds
        tests = []
        for name in lease.tests:
            if self.state[name] != "claimed":
                continue
            test: dict[str, Any] = {"file": name[0], "title": name[1]}
            if "id" in self.tests[name]:
                test["id"] = self.tests[name]["id"]
            if self.expected_ms is not None:
                test["expectedDuration"] = self.expected_ms
            tests.append(test | ({"quarantined": True} if name[1] in self.quarantined else {}))
        return {
            "state": "leased",
            "leaseId": lease.lease_id,
            "shardId": lease.shard_id,
            "runnerId": lease.runner_id,
            "leaseSeconds": self.lease_seconds,
            "expiresAt": "2025-08-04T12:34:56.789Z",
            "attempt": lease.attempt,
            "expectedDuration": 0,
            "tests": tests,
            "remaining": self.unsettled(),
            "retryAfter": None,
            "reason": None,
        }

    def held(self, lease_id: str, runner_id: str) -> Lease | None:
        """The lease, if it is this runner's still."""
        self.lapse()
        lease = self.leases.get(lease_id)
        return lease if lease is not None and lease.is_open and lease.runner_id == runner_id else None

    def end(self, lease_id: str, runner_id: str, left: str) -> int:
        """End a lease; its unreported tests become waiting or missing. Returns how many."""
        lease = self.held(lease_id, runner_id)
        if lease is None:
            return 0
        lease.is_open = False
        names = [name for name in lease.tests if self.state[name] == "claimed"]
        for name in names:
            self.state[name] = left
        return len(names)

    def others(self, runner_id: str) -> int:
        """How many leases other runners hold."""
        return sum(lease.is_open and lease.runner_id != runner_id for lease in self.leases.values())

    def may_close(self, shard_id: str, runner_id: str) -> bool:
        """Whether a runner's word on a shard counts."""
        return self._holder(shard_id) == runner_id

    def _holder(self, shard_id: str) -> str | None:
        held = (lease for lease in self.leases.values() if lease.is_open and lease.shard_id == shard_id)
        return next((lease.runner_id for lease in held), None)

    def lapse(self) -> None:
        for lease in self.leases.values():
            if lease.is_open and time.monotonic() > lease.expires:
                lease.is_open = False
                for name in lease.tests:
                    if self.state[name] == "claimed":
                        self.state[name] = "waiting"

    def report(self, shard_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if not 1 <= len(body["tests"]) <= 1000:
            raise Flaw("tests", f"are {len(body['tests'])}")
        lease = self.held(body["leaseId"], body["runnerId"])
        if lease is not None:
            lease.expires = time.monotonic() + self.lease_seconds
        outcomes = [self._take(shard_id, lease, test) for test in body["tests"]]
        return {
            "accepted": outcomes.count("accepted"),
            "duplicates": outcomes.count("duplicate"),
            "late": outcomes.count("late"),
            "rejected": 0,
            "records": [{"outcome": outcome} for outcome in outcomes],
            "order": "continue" if lease is not None else "abandon",
            "expiresAt": None,
        }

    def _take(self, shard_id: str, lease: Lease | None, test: Test) -> str:
        name = test["file"], test["title"]
        if lease is None:
            self.late.append(test)
            return "late"
        if self.state.get(name) == "reported":
            return "duplicate"
        self.unexpected += name not in self.state
        self.state[name] = "reported"
        self.streamed.setdefault(shard_id, []).append(test)
        return "accepted"

    def close(self, shard_id: str) -> list[Test]:
        for lease in self.leases.values():
            if lease.is_open and lease.shard_id == shard_id:
                self.end(lease.lease_id, lease.runner_id, "missing")
        if self.body["mode"] == "static":
            for name, state in self.state.items():
                if state == "waiting" and self.owner[name] == shard_id:
                    self.state[name] = "missing"  # nobody else can run it
        return self.streamed.get(shard_id, [])

    def is_over(self) -> bool:
        """Whether all tests are accounted for, and nobody works any more."""
        return not self.unsettled() and not any(lease.is_open for lease in self.leases.values())


def nothing(state: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "state": state,
        "leaseId": None,
        "shardId": None,
        "leaseSeconds": None,
        "expiresAt": None,
        "attempt": None,
        "expectedDuration": None,
        "tests": [],
        "remaining": 0,
        "retryAfter": None,
        "reason": reason,
    }


def check(body: dict[str, Any]) -> None:
    """Hold a manifest against the contract."""
    for name, words in flaws(body):
        raise Flaw(name, words)


def flaws(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if body.keys() - {"mode", "tests", "sizes", "order", "splitFiles", "rerunOf"}:
        yield "body", f"has fields that nobody knows: {sorted(body)}"
    if body.get("mode") not in {"static", "queue"}:
        yield "mode", f"{body.get('mode')} is none"
    tests = body.get("tests")
    if not isinstance(tests, list) or not 1 <= len(tests) <= 200_000:
        yield "tests", "have to be 1 to 200,000"
        return
    names = [(test.get("file"), test.get("title")) for test in tests]
    if len(set(names)) != len(names):
        yield "tests", "has one twice"
    for number, test in enumerate(tests):
        texts = [test.get("file"), test.get("title"), test.get("id", "x")]
        if not all(isinstance(text, str) and 0 < len(text) <= 4096 and "\0" not in text for text in texts):
            yield f"tests[{number}]", f"is not as documented: {test}"
        if not all(isinstance(label, str) and 0 < len(label) <= 255 for label in test.get("labels", [])):
            yield f"tests[{number}].labels", "have to be texts"
    if not all(isinstance(size, int) and size >= 0 for size in body.get("sizes", {}).values()):
        yield "sizes", "have to be whole numbers"
