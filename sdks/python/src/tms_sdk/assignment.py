"""What a runner has to do for one execution, as the server tells it: the plan, leases, and where results go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError, TMSError, Unreachable
from tms_sdk.outbox import Outbox
from tms_sdk.records import Record, clean
from tms_sdk.retry import RETRYABLE_STATUSES
from tms_sdk.spool import Spool
from tms_sdk.wire import Claim, Order, Plan, SubmissionStatus

Mode = Literal["static", "queue"]


def is_away(error: TMSError) -> bool:
    """Tell whether the server is away or in trouble, as opposed to refusing."""
    return isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in RETRYABLE_STATUSES)


@dataclass(frozen=True, slots=True)
class Lease:
    """Tests to run.

    Attributes:
        lease_id: what they are reported under.
        shard_id: the shard they belong to.
        seconds: how long it holds without a sign of life.
        tests: ids, in the order in which to run them.
        quarantined: those of them whose failures do not count.
        last: whether this runner will hardly get another one.
    """

    lease_id: str
    shard_id: str
    seconds: float
    tests: list[str]
    quarantined: list[str]
    last: bool


@dataclass
class Manifest:
    """What pytest has collected. Ids are pytest's node ids; the server gets them cleaned of what it cannot store.

    Attributes:
        tests: by id, as the plan takes them.
        ready: by id, results that were there before anything was run: files that failed or were skipped as a whole.
        sizes: bytes of each file.
        runnable: whether pytest would run the tests.
    """

    tests: dict[str, dict[str, Any]]
    ready: dict[str, Record]
    sizes: dict[str, int]
    runnable: bool
    _ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Manifest":
        """Read pytest's line."""
        ready = {_id(record): record for record in told["ready"]}
        tests = {test["id"]: test for test in told["tests"]}
        for test_id, record in ready.items():
            tests[test_id] = {"file": record["file"], "title": record["title"], "labels": []}
        made = cls(tests, ready, told["sizes"], told["runnable"])
        made._ids = {clean(test_id): test_id for test_id in tests}
        return made

    def plan(self, mode: Mode) -> dict[str, Any]:
        """Print it as `PUT …/plan` takes it."""
        tests = [
            {
                "id": clean(test_id),
                "file": clean(test["file"]),
                "title": clean(test["title"]),
                "labels": [clean(label) for label in test["labels"]],
            }
            for test_id, test in self.tests.items()
        ]
        return {"mode": mode, "tests": tests, "sizes": {clean(file): size for file, size in self.sizes.items()}}

    def lease(self, claim: Claim, *, is_whole: bool) -> Lease:
        """Read a lease, which may be that of the whole shard. Tests that were not collected here are left out."""
        named = {(clean(test["file"]), clean(test["title"])): test_id for test_id, test in self.tests.items()}
        tests, quarantined = [], []
        for test in claim["tests"]:
            test_id = self._ids.get(test.get("id", "")) or named.get((test["file"], test["title"]))
            if test_id is not None:
                tests.append(test_id)
                if test.get("quarantined"):
                    quarantined.append(test_id)
        return Lease(
            lease_id=claim["leaseId"] or "",
            shard_id=claim["shardId"] or "",
            seconds=float(claim["leaseSeconds"] or 30),
            tests=tests,
            quarantined=quarantined,
            last=is_whole or claim["remaining"] <= len(claim["tests"]),
        )


def _id(record: Record) -> str:
    return record["file"] if record["title"] == record["file"] else f"{record['file']}::{record['title']}"


def _cancelled(reason: str) -> Claim:
    return {
        "state": "cancelled",
        "leaseId": None,
        "shardId": None,
        "leaseSeconds": None,
        "tests": [],
        "remaining": 0,
        "retryAfter": None,
        "reason": reason,
    }


class Assignment:
    """One runner's part in an execution. All methods but `keep` raise `TMSError` where the server does not go along.

    Attributes:
        execution_id: None until there is one.
        lease: the one that is being worked off.
        shards: those it was given, which it has to close.
        plan: as the server has it; None until then.
        mode: how the tests are dealt out, where this runner is the first to have a plan.
        reason: why the execution ended before its time, once it has.
    """

    def __init__(self, client: TMSClient, runner_id: str, *, mode: Mode, shard_id: str | None, spool: Spool) -> None:
        self.execution_id: str | None = None
        self.lease: Lease | None = None
        self.shards: dict[str, None] = {}
        self.plan: Plan | None = None
        self.reason: str | None = None
        self.outbox = Outbox(client, runner_id, spool)
        self._client = client
        self._runner_id = runner_id
        self.mode = mode
        self._shard_id = shard_id
        self._spool = spool
        self._done: str | None = None
        self._last: Lease | None = None

    def enter(self, find: Callable[[], str], manifest: Manifest) -> Plan:
        """Find the execution, and let it have the plan, unless that was done before."""
        if self.plan is None:
            plan = manifest.plan(self.mode)
            self._spool.run |= {"executionId": self.execution_id, "shardId": self._shard_id, "plan": plan}
            if self.execution_id is None:
                self.execution_id = self._spool.run["executionId"] = find()
            self.plan = self._client.put_plan(self.execution_id, plan)
            self._spool.run["plan"] = None
        return self.plan

    @property
    def has_had_tests(self) -> bool:
        """Whether there was a lease."""
        return self._last is not None

    def claim(self, manifest: Manifest) -> Claim:
        """Report what has been done, and ask for more. With state `leased`, `lease` is the answer."""
        if self.lease is not None:
            self.outbox.assign(self.lease.lease_id, self.lease.shard_id)
        self.deliver()
        if self.reason is not None:
            return _cancelled(self.reason)
        if self.lease is not None:
            self._done, self.lease = self.lease.lease_id, None
        claim = self._client.claim(self._execution(), self._runner_id, shard_id=self._shard_id, done=self._done)
        self._done = None
        if claim["shardId"]:
            self.shards[claim["shardId"]] = None
        if claim["state"] == "leased":
            is_whole = self.plan is not None and self.plan["mode"] == "static"
            self.lease = self._last = manifest.lease(claim, is_whole=is_whole)
        elif claim["state"] == "cancelled":
            self.cancel(claim["reason"])
        if self._last is not None and claim["state"] != "wait":
            self.outbox.assign(self._last.lease_id, self._last.shard_id)
            self.deliver()
        return claim

    def deliver(self) -> None:
        """Report what has been done."""
        if self.execution_id is not None:
            answer = self.outbox.send(self.execution_id)
            if answer is not None:
                self._obey(answer["order"], None)

    def heartbeat(self) -> None:
        """Say that the lease is still being worked off."""
        if self.lease is not None:
            answer = self._client.heartbeat(self._execution(), self.lease.lease_id, self._runner_id)
            self._obey(answer["order"], answer["reason"])

    def hand_back(self) -> int:
        """Give the lease up; return how many tests others get."""
        if self.lease is None:
            return 0
        lease, self.lease = self.lease, None
        return self._client.hand_back(self._execution(), lease.lease_id, self._runner_id)["returned"]

    def close(self, status: SubmissionStatus, *, provider: str, metadata: Mapping[str, Any], key: str) -> None:
        """End the shards."""
        self.lease = None
        for shard_id in self.shards:
            shard_key = f"{key}.{shard_id}"
            self._client.close_shard(
                self._execution(), shard_id, status, provider=provider, metadata=metadata, key=shard_key
            )

    def ended_badly(self) -> bool:
        """Tell whether the execution has ended, and with failures that count or tests that nobody ran."""
        if self.execution_id is None:
            return False
        return self._client.gate(self.execution_id, rules="failures=0,incomplete=0")["verdict"] == "failed"

    def add(self, record: Record, *, leased: bool = True) -> None:
        """Take a result, of the lease's or of a test that was run without one."""
        lease = (self.lease or self._last) if leased else None
        self.outbox.add(record, *((lease.lease_id, lease.shard_id) if lease else (None, None)))

    def cancel(self, reason: str | None) -> None:
        """Note that the execution has ended before its time."""
        self.reason = reason or "the execution was cancelled"
        self.lease = None

    def _obey(self, order: Order, reason: str | None) -> None:
        if order == "continue":
            return
        self.lease = None
        # Where others have run all of it meanwhile there is nothing to stop for: the next claim says so.
        if order == "cancel" and self._client.get_execution(self._execution())["status"] != "completed":
            self.cancel(reason)

    def _execution(self) -> str:
        if self.execution_id is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", "There is no execution")
        return self.execution_id
