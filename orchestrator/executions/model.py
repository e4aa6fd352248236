"""What an execution is: frozen values, with totals derived in one place.

The structs that an owner keeps by the thousand hold no cycles and are left out of garbage collection (`gc=False`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from orchestrator.executions.plan import Deal, Plan
from orchestrator.timestamps import milliseconds

MAX_SHARDS = 1000


class TestSuite(StrEnum):
    """Which suite is run (X-011)."""

    SMOKE = "smoke"
    REGRESSION = "regression"
    API = "api"
    UI = "ui"
    ALL = "all"


class Environment(StrEnum):
    """What it is run against (X-012)."""

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"


class TriggerSource(StrEnum):
    """What asked for it (X-014)."""

    API = "api"
    MANUAL = "manual"
    SCHEDULED = "scheduled"


class Browser(StrEnum):
    """A browser to run with (X-015)."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    WEBKIT = "webkit"


class ExecutionStatus(StrEnum):
    """`created → running → completed | failed | cancelled` (X-019)."""

    CREATED = "created"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ShardStatus(StrEnum):
    """`pending → running → completed | failed | error | lost | cancelled`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    ERROR = "error"
    LOST = "lost"
    CANCELLED = "cancelled"


class TestStatus(StrEnum):
    """How one test ended (X-055)."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ReasonCode(StrEnum):
    """Why an execution ended as it did; stable, for programs. None where all shards ended by themselves."""

    TIMEOUT = "timeout"
    NEVER_STARTED = "never_started"
    SHARD_ERROR = "shard_error"
    REPORTED = "reported"
    INCOMPLETE = "incomplete"
    CANCELLED_BY_USER = "cancelled_by_user"
    CANCELLED_BY_RUNNER = "cancelled_by_runner"


OPEN_SHARD = frozenset({ShardStatus.PENDING, ShardStatus.RUNNING})
UNFINISHED = frozenset({ExecutionStatus.CREATED, ExecutionStatus.RUNNING})


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Counters of tests. `total` may exceed the sum of the others: a runner counts what it likes in it."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    flaky: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        """Counter by counter."""
        return Totals(
            self.total + other.total,
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.flaky + other.flaky,
        )


class SentTotals(msgspec.Struct, frozen=True):
    """Counters as a runner sent them; any may be missing (X-054)."""

    total: int | None = None
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    flaky: int | None = None

    def is_empty(self) -> bool:
        """Whether no counter was sent at all."""
        return self == _NOTHING_SENT


_NOTHING_SENT = SentTotals()


class Attempt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A try of a test before the one that counts."""

    status: TestStatus
    duration_ms: float | None = msgspec.field(default=None, name="duration")
    error: str | None = None


class Property(msgspec.Struct, frozen=True, gc=False):
    """What a report notes of a test under a name of its own choice."""

    name: str
    value: str


class TestDetails(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What some runners and reports tell of a test besides.

    Attributes:
        attempts: the tries before the one that counts, in order.
        properties: in order; a name may come more than once.
        attachments: names of files.
    """

    attempts: tuple[Attempt, ...] = ()
    properties: tuple[Property, ...] = ()
    attachments: tuple[str, ...] = ()


class TestOutcome(msgspec.Struct, frozen=True, gc=False):
    """One test of a shard's submission, as its runner reported it; `duration_ms` as it was sent, whole or not."""

    title: str
    status: TestStatus
    file: str | None = None
    duration_ms: float | None = None
    error: str | None = None
    retries: int | None = None
    tags: tuple[str, ...] | None = None

    @property
    def details(self) -> TestDetails | None:
        """None: a submission has no place for them."""
        return None


class TestResult(TestOutcome, frozen=True, gc=False):
    """One test as a report tells of it, maybe in detail."""

    details: TestDetails | None = None


def count(tests: Sequence[TestOutcome]) -> Totals:
    """The totals of a list of tests; one is flaky that passed, but not at once."""
    statuses = [test.status for test in tests]
    passed, failed, skipped = map(statuses.count, (TestStatus.PASSED, TestStatus.FAILED, TestStatus.SKIPPED))
    retried = [test.status for test in tests if test.retries]
    return Totals(len(tests), passed, failed, skipped, flaky=retried.count(TestStatus.PASSED))


def settle(sent: SentTotals, counted: Totals) -> Totals:
    """A shard's totals: each counter as sent, else from its tests (X-054, X-058)."""
    passed = counted.passed if sent.passed is None else sent.passed
    failed = counted.failed if sent.failed is None else sent.failed
    skipped = counted.skipped if sent.skipped is None else sent.skipped
    flaky = counted.flaky if sent.flaky is None else sent.flaky
    total = max(counted.total, passed + failed + skipped) if sent.total is None else sent.total
    return Totals(total, passed, failed, skipped, flaky)


class Configuration(msgspec.Struct, frozen=True, gc=False):
    """How an execution is to be run (X-016). `timeout` is in milliseconds."""

    shards: int = 1
    timeout: int = 1_800_000
    retries: int = 0
    parallel: bool = True
    browsers: tuple[Browser, ...] = ()


class Shard(msgspec.Struct, frozen=True, gc=False):
    """One shard as it stands: the totals are those of its current submission.

    Attributes:
        shard_id: "1" to "N".
        submission_id: the current submission; None while none came (a runner's event alone can end a shard).
        digest: of the current submission's body, which makes the same body sent again a repetition.
        attempts: submissions that became current, the present one included.
        duration_ms: as the runner reported or the difference of its times; None if unknown.
        is_streamed: its current submission comes in pieces; until the shard ends, tests are added to it.
    """

    shard_id: str
    status: ShardStatus = ShardStatus.PENDING
    totals: Totals = Totals()
    submission_id: str | None = None
    digest: bytes | None = None
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    is_streamed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a report is still to come."""
        return self.status in OPEN_SHARD


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One execution as it stands after its event number `seq`.

    Attributes:
        metadata: JSON text as the client sent it.
        base_url: scheme and host that the URLs given out start with.
        deadline: when it ends by itself, by the server's clock; None once it ended.
        announced: totals that a runner reported for the whole, used while no shard has any of its own (X-047).
        frames: how many frames of single tests have been numbered (`tests` frames of the live protocol).
        deal: how far its plan is worked off; None without a plan.
        plan: for its owner; None for readers, who have no use for thousands of units.
    """

    execution_id: str
    tenant_id: int
    test_suite: TestSuite
    environment: Environment
    provider: str
    trigger_source: TriggerSource | None
    configuration: Configuration
    metadata: str | None
    base_url: str
    created_at: datetime
    shards: tuple[Shard, ...]
    deadline: datetime | None
    status: ExecutionStatus = ExecutionStatus.CREATED
    seq: int = 0
    frames: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason_code: ReasonCode | None = None
    reason: str | None = None
    announced: Totals | None = None
    deal: Deal | None = None
    plan: Plan | None = None

    @property
    def is_finished(self) -> bool:
        """Whether its status is final."""
        return self.status not in UNFINISHED

    @property
    def totals(self) -> Totals:
        """The sum over its shards: the only place where totals are added up (X-021)."""
        if self.announced is not None and not self.has_reports:
            return self.announced
        return sum((shard.totals for shard in self.shards), Totals())

    @property
    def has_reports(self) -> bool:
        """Whether any shard has ended with a report of its own."""
        return any(shard.attempts for shard in self.shards)

    @property
    def shards_ended(self) -> int:
        """How many shards are in a final state."""
        return sum(not shard.is_open for shard in self.shards)

    @property
    def duration_ms(self) -> int | None:
        """From start to end; None until then, or if it never started."""
        if self.started_at is None or self.ended_at is None:
            return None
        return milliseconds(self.ended_at - self.started_at)

    def shard(self, shard_id: str) -> Shard | None:
        """The shard with this id, None outside the plan. Only the plain form counts: "1", never "01"."""
        if shard_id.isascii() and shard_id.isdigit() and shard_id[0] != "0" and int(shard_id) <= len(self.shards):
            return self.shards[int(shard_id) - 1]
        return None

    def with_shard(self, changed: Shard) -> tuple[Shard, ...]:
        """The shards with one replaced by its new form."""
        index = int(changed.shard_id) - 1
        return (*self.shards[:index], changed, *self.shards[index + 1 :])

    def open_shards(self) -> Iterator[Shard]:
        """Those whose report is still to come."""
        return (shard for shard in self.shards if shard.is_open)

    @property
    def missing_tests(self) -> int:
        """Planned tests that were given up; once it has ended, all that were not reported."""
        if self.deal is None:
            return 0
        return self.deal.planned - self.deal.reported.bit_count() if self.is_finished else self.deal.missing.bit_count()
