"""What a runner has to do for one execution, as the server tells it: the plan, leases, and where results go."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError
from tms_sdk.executions import failed_at
from tms_sdk.manifest import Dealing, Lease, Manifest
from tms_sdk.outbox import Outbox
from tms_sdk.records import Record
from tms_sdk.spool import Spool
from tms_sdk.wire import Claim, ClaimedTest, Order, Plan, SubmissionStatus


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

    Args:
        client: the way to the server.
        runner_id: names this runner.
        dealing: how the tests are dealt out, where this runner is the first to have a plan.
        shard_id: the shard to begin with; None leaves the choice to the server.
        is_fixed: whether this runner works on that shard only, and on no other whose runner is gone.
        spool: where results wait.

    Attributes:
        execution_id: None until there is one.
        lease: the one that is being worked off.
        seat: the shard in which it is, so that it has to close it; None where it has left it, or never had one.
        plan: as the server has it; None until then.
        reason: why the execution ended before its time, once it has.
    """

    def __init__(
        self, client: TMSClient, runner_id: str, dealing: Dealing, *, shard_id: str | None, is_fixed: bool, spool: Spool
    ) -> None:
        self.execution_id: str | None = None
        self.lease: Lease | None = None
        self.seat: str | None = None
        self.plan: Plan | None = None
        self.reason: str | None = None
        self.outbox = Outbox(client, runner_id, spool)
        self._client = client
        self._runner_id = runner_id
        self._dealing = dealing
        self._shard_id = shard_id
        self._is_fixed = is_fixed
        self._spool = spool
        self._done: str | None = None
        self._last: Lease | None = None
        self._handed_back: str | None = None
        self._others = 0

    @property
    def is_rerun(self) -> bool:
        """Whether only what failed or is missing elsewhere is to be run."""
        return self._dealing.rerun_of is not None

    @property
    def is_queue(self) -> bool:
        """Whether the tests are dealt out in batches, as far as this runner has the choice."""
        return (self.plan["mode"] if self.plan is not None else self._dealing.mode) == "queue"

    def stay(self) -> None:
        """Work on one shard only, all of whose tests are known beforehand."""
        self._dealing = replace(self._dealing, mode="static")
        self._is_fixed = True

    def enter(self, find: Callable[[], str], manifest: Manifest) -> Plan:
        """Find the execution, and let it have the plan, unless that was done before."""
        if self.plan is None:
            plan = manifest.plan(self._dealing)
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

    def claim(self, manifest: Manifest, *, shard_id: str | None = None) -> Claim:
        """Report what has been done, and ask for more, in a certain shard or wherever this runner may work.

        With state `leased`, `lease` is the answer.
        """
        if self.lease is not None:
            self.outbox.assign(self.lease.lease_id, self.lease.shard_id)
        self.deliver()
        if self.reason is not None:
            return _cancelled(self.reason)
        if self.lease is not None:
            self._done, self.lease = self.lease.lease_id, None
        own = shard_id or self._own_shard()
        claim = self._client.claim(self._execution(), self._runner_id, shard_id=own, done=self._done)
        self._done = None
        self.seat = claim["shardId"] or self.seat
        if claim["state"] == "leased":
            self._hold(manifest.lease(claim, is_whole=self._is_fixed and not self.is_queue), claim["tests"])
        elif claim["state"] == "cancelled":
            self.cancel(claim["reason"])
        if self._last is not None and claim["state"] != "wait":
            self.outbox.assign(self._last.lease_id, self._last.shard_id)
            self.deliver()
        return claim

    def claim_ahead(self, manifest: Manifest) -> list[str]:
        """Report what has been done, and ask for more before the lease is worked off.

        Returns:
            The tests that the lease has got in addition. There is no lease any more where others have it now.
        """
        self.deliver()
        if self.lease is None:
            return []
        former = self.lease = replace(self.lease, tail=frozenset())  # asks once, whatever comes of it
        claim = self._client.claim(self._execution(), self._runner_id, shard_id=self._own_shard(), ahead=True)
        if claim["state"] == "cancelled":
            self.cancel(claim["reason"])
            return []
        if claim["leaseId"] != former.lease_id:
            self.lease = None
            return []
        grown, had = manifest.lease(claim, is_whole=False), set(former.tests)
        more = [test_id for test_id in grown.tests if test_id not in had]
        self._hold(grown if more else replace(grown, tail=frozenset()), claim["tests"])
        return more

    def _hold(self, lease: Lease, tests: Iterable[ClaimedTest]) -> None:
        self.lease = self._last = lease
        self.outbox.repeat(tests, lease.lease_id, lease.shard_id)

    def _own_shard(self) -> str | None:
        if self.seat is None:
            return self._shard_id
        return self.seat if self._is_fixed else None

    def deliver(self) -> None:
        """Report what has been done."""
        if self.execution_id is not None:
            orders = self.outbox.send(self.execution_id)
            if "cancel" in orders.values():
                self._obey("cancel", None)
            elif self.lease is not None:
                self._obey(orders.get(self.lease.lease_id, "continue"), None)

    def heartbeat(self) -> None:
        """Say that the lease is still being worked off."""
        if self.lease is not None:
            answer = self._client.heartbeat(self._execution(), self.lease.lease_id, self._runner_id)
            self._obey(answer["order"], answer["reason"])

    def hand_back(self) -> None:
        """Give up the lease that there may be, and with it the shard."""
        if self.lease is not None:
            lease, self.lease, self.seat = self.lease, None, None
            answer = self._client.hand_back(self._execution(), lease.lease_id, self._runner_id)
            self._others, self._handed_back = answer.get("others", 0), lease.shard_id

    def is_deserted(self) -> bool:
        """Tell whether a lease was handed back and nobody is left for its tests: all other shards have ended."""
        if self._handed_back is None or self._others:
            return False
        progress = self._client.get_execution(self._execution())["progress"]
        return progress["shardsCompleted"] >= progress["totalShards"] - 1

    def take_back(self, manifest: Manifest) -> None:
        """Get the shard that was handed back, if nobody has it now: only who has it can close it."""
        if self._handed_back is not None:
            self.claim(manifest, shard_id=self._handed_back)

    def close(self, status: SubmissionStatus, *, provider: str, metadata: Mapping[str, Any], key: str) -> None:
        """End the shard, as long as it is this runner's."""
        self.lease = None
        if self.seat is not None:
            self._client.close_shard(
                self._execution(),
                self.seat,
                status,
                runner_id=self._runner_id,
                provider=provider,
                metadata=metadata,
                key=f"{key}.{self.seat}",
            )

    def failed_at(self) -> str | None:
        """Tell where to look at the execution if it has ended badly, as `executions.failed_at`."""
        return failed_at(self._client, self._execution())

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
        self.lease = self.seat = None
        # Where others have run all of it meanwhile there is nothing to stop for: the next claim says so.
        if order == "cancel" and self._client.get_execution(self._execution())["status"] != "completed":
            self.cancel(reason)

    def _execution(self) -> str:
        if self.execution_id is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", "There is no execution")
        return self.execution_id
