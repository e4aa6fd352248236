"""What may be asked of an execution, and how its owner replies.

A command carries an id: sent again with the same id (after a crash, by a retrying mailbox, by a client with an
`Idempotency-Key`) it gets the reply of the first time and changes nothing more.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from orchestrator.errors import FieldError
from orchestrator.executions.model import (
    Configuration,
    Environment,
    ExecutionStatus,
    ShardStatus,
    TestSuite,
    Totals,
    TriggerSource,
)
from orchestrator.executions.plan import Plan
from orchestrator.jobs.model import JobRun


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all commands carry.

    Attributes:
        command_id: unique, or derived from tenant and `Idempotency-Key`.
        may_repeat: this id may have been carried out before, so the owner looks for its receipt.
        fingerprint: of the request under an `Idempotency-Key`; empty without one.
    """

    command_id: str
    tenant_id: int
    execution_id: str
    may_repeat: bool = False
    fingerprint: bytes = b""

    @property
    def payload_bytes(self) -> int:
        """The size of what it carries besides a few fields."""
        return 0


class Create(Command, frozen=True, kw_only=True, tag=True):
    """Make an execution with its shards planned; `run` is the job that the server is to run in them."""

    test_suite: TestSuite
    environment: Environment
    provider: str
    trigger_source: TriggerSource | None
    configuration: Configuration
    metadata: str | None
    base_url: str
    run: JobRun | None = None


class Start(Command, frozen=True, kw_only=True, tag=True):
    """A runner says that the execution begins (`execution.started`), at its own clock's `at`."""

    at: datetime


class StartShard(Command, frozen=True, kw_only=True, tag=True):
    """A runner says that a shard begins (`shard.started`)."""

    at: datetime
    shard_id: str


class Placed(msgspec.Struct, frozen=True):
    """Where tests stand in a plan.

    Attributes:
        places: of each test; -1 for one that the plan does not have.
        fingerprints: of each test, by which those outside the plan are told apart; less than 2 to the 63rd.
    """

    places: tuple[int, ...]
    fingerprints: tuple[int, ...]


PLACES_NEEDED = "PLACES_NEEDED"
"""The code of a refusal that says: this execution has a plan; send the command again with `placed`."""


class Submit(Command, frozen=True, kw_only=True, tag=True):
    """A shard's results (`POST /api/results`).

    Attributes:
        totals: settled from what was sent and what was counted.
        tests: how many tests are listed; `rows` holds them, encoded for the store, opaque to the rules.
        artifacts: JSON text of names by kind; None if none.
        metadata: JSON text as sent; None if none.
        digest: of the request's body.
        reported_at: the month of the test rows follows from it.
        runner_id: who says so; in a planned execution only the holder of the shard's lease can then end the shard.
        placed: where its tests stand in the plan; a planned execution's owner asks for it (`PLACES_NEEDED`).
        letters: a letter for each test, as in `Stream`; comes with `placed`.
    """

    submission_id: str
    shard_id: str
    provider: str | None
    status: ShardStatus
    totals: Totals
    tests: int
    rows: bytes
    artifacts: str | None
    metadata: str | None
    digest: bytes
    reported_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    runner_id: str | None = None
    placed: Placed | None = None
    letters: str = ""

    @property
    def payload_bytes(self) -> int:
        """Of its rows."""
        return len(self.rows)


class ReportShard(Command, frozen=True, kw_only=True, tag=True):
    """A runner says how a shard ended (`shard.completed`), usually after its results."""

    at: datetime
    shard_id: str
    status: ShardStatus
    totals: Totals | None


class ReportProgress(Command, frozen=True, kw_only=True, tag=True):
    """A runner tells how far it is (`execution.progress`); `report` is its data, as JSON text."""

    at: datetime
    report: str


class Complete(Command, frozen=True, kw_only=True, tag=True):
    """A runner says that the whole has ended (`execution.completed`), with totals of the whole or without."""

    at: datetime
    totals: Totals | None


class Fail(Command, frozen=True, kw_only=True, tag=True):
    """A runner reports a critical failure (`execution.failed`)."""

    at: datetime
    reason: str


class Cancel(Command, frozen=True, kw_only=True, tag=True):
    """A person or program, or the runner itself, calls it off."""

    reason: str
    by_runner: bool = False


class MakePlan(Command, frozen=True, kw_only=True, tag=True):
    """Settle which tests are run; the first plan counts. `manifest` holds their names, opaque to the rules."""

    plan: Plan
    manifest: bytes

    @property
    def payload_bytes(self) -> int:
        """Of its manifest."""
        return len(self.manifest)


class Claim(Command, frozen=True, kw_only=True, tag=True):
    """A runner asks for tests.

    Attributes:
        shard_id: the only shard that will do; None for any.
        done: number of the lease that it has worked off.
        ahead: whether it wants more in addition to the lease that it has nearly worked off.
    """

    runner_id: str
    shard_id: str | None
    done: int | None
    ahead: bool = False


class Beat(Command, frozen=True, kw_only=True, tag=True):
    """A runner says that it lives."""

    runner_id: str
    lease: int


class HandBack(Command, frozen=True, kw_only=True, tag=True):
    """A runner has to leave, and gives its tests back."""

    runner_id: str
    lease: int


class Lapse(Command, frozen=True, kw_only=True, tag=True):
    """A runner was silent for too long; given by the owner's own timer."""

    lease: int


class Stream(Command, frozen=True, kw_only=True, tag=True):
    """Tests of a running shard have ended, and those who watch shall know.

    Attributes:
        submission_id: a new one, for the piece of the shard's results that these tests are.
        tests: a letter for each, `status_letter` of `streams`.
        placed: where they stand in the plan.
        rows: as in `Submit`.
        digest: of the request's body.
    """

    runner_id: str
    lease: int
    shard_id: str
    submission_id: str
    tests: str
    placed: Placed
    rows: bytes
    digest: bytes
    reported_at: datetime

    @property
    def payload_bytes(self) -> int:
        """Of its rows."""
        return len(self.rows)


class Expire(Command, frozen=True, kw_only=True, tag=True):
    """The deadline is reached; given by the owner's own timer."""


class Tick(Command, frozen=True, kw_only=True, tag=True):
    """It is time to tell webhooks how far it is (X-067); given by the owner's own timer."""


AnyCommand = (
    Create
    | Start
    | StartShard
    | Submit
    | ReportShard
    | ReportProgress
    | Complete
    | Fail
    | Cancel
    | MakePlan
    | Claim
    | Beat
    | HandBack
    | Lapse
    | Stream
    | Expire
    | Tick
)


class ClaimState(StrEnum):
    """What a runner that claims is to do: run tests, ask again, close its shard, or stop."""

    LEASED = "leased"
    WAIT = "wait"
    DONE = "done"
    CANCELLED = "cancelled"


class Order(StrEnum):
    """What a runner that reports is to do."""

    CONTINUE = "continue"
    ABANDON = "abandon"
    CANCEL = "cancel"


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim.

    Attributes:
        lease: its number; None for a runner without a seat.
        places: of the tests to run, in order.
        unsettled: tests of the plan that are still to be reported, these included.
        retry_after: seconds, where it is to wait.
    """

    state: ClaimState
    lease: int | None = None
    shard_id: str | None = None
    attempt: int = 1
    places: tuple[int, ...] = ()
    unsettled: int = 0
    retry_after: float | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The command is carried out and committed.

    Attributes:
        at: when; for a repetition, when it was carried out first.
        applied: whether it changed anything.
        status: the execution's status after it.
        submission_id: for `Submit`, the submission that holds these results.
        webhooks: how many deliveries it caused.
        claimed: for `Claim`.
        order: for `Beat` and `Stream`.
        outcomes: for `Stream`, a letter for each test, of `streams`.
        returned: for `HandBack`, how many tests went back.
        others: for `HandBack`, how many leases other runners have.
    """

    execution_id: str
    at: datetime
    applied: bool
    status: ExecutionStatus
    reason: str | None = None
    submission_id: str | None = None
    webhooks: int = 0
    claimed: Claimed | None = None
    order: Order | None = None
    outcomes: str = ""
    returned: int = 0
    others: int = 0


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The command cannot be carried out in this state; `code` is that of an error of `orchestrator.errors`."""

    code: str
    message: str
    details: tuple[FieldError, ...] = ()


class Postponed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The store is away: nothing is known to be committed; the command may be sent again with `may_repeat`."""

    message: str


Reply = Receipt | Refusal | Postponed
