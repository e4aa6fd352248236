"""Plans, claims and streamed results on the wire (docs/runners.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.wire.executions import Cursor, PlanState
from gateway.wire.moments import PrintedMoment
from gateway.wire.results import Count, DurationMs, RunnerId, TestItem
from orchestrator.executions.commands import ClaimState, Order
from orchestrator.executions.model import Attempt, TestDetails, TestStatus
from orchestrator.executions.plan import MAX_TESTS, PlanMode
from orchestrator.executions.planning import UnitOrder
from orchestrator.executions.streams import Taken

MOST_STREAMED = 1000
LONGEST_NAME = 4096

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Label = Annotated[str, Meta(min_length=1, max_length=255)]
Labels = Annotated[list[Label], Meta(max_length=100)]
ShardId = Annotated[str, Meta(min_length=1, max_length=16)]
LeaseId = Annotated[str, Meta(min_length=1, max_length=32, description="`lease_` and a number, as claims give it")]
TestState = Literal["waiting", "claimed", "reported", "missing"]
ExecutionId = Annotated[str, Meta(min_length=1, max_length=64)]


class ManifestTest(msgspec.Struct, frozen=True, gc=False):
    """A test that will be run; `id` is the runner's own name of it."""

    file: Name
    title: Name
    id: Name | None = None
    labels: Labels | None = None


class MakePlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a plan: what will be run, and how it is dealt out. `sizes` are bytes of files."""

    mode: PlanMode
    tests: Annotated[list[ManifestTest], Meta(min_length=1, max_length=MAX_TESTS)]
    sizes: dict[str, Count] | None = None
    order: UnitOrder | None = None
    split_files: bool | None = None
    rerun_of: ExecutionId | None = None


class TestName(msgspec.Struct, frozen=True):
    """A test by name."""

    file: str
    title: str


class Differences(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a manifest differs from the plan: tests that it lacks, and tests that the plan lacks; the first of each."""

    missing: int
    unexpected: int
    missing_tests: list[TestName]
    unexpected_tests: list[TestName]


class ShardPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a shard is expected to do; `expected_duration` in milliseconds."""

    shard_id: str
    expected_duration: int
    tests: int
    units: int


class ExecutionPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A plan; `expected_duration` in milliseconds: the longest shard's.

    Attributes:
        quarantined: its tests that were in quarantine when it was made, the first 1,000.
    """

    execution_id: str
    mode: PlanMode
    created_at: PrintedMoment
    tests: int
    units: int
    known_tests: int
    expected_duration: int
    shards: list[ShardPlan]
    quarantined: list[TestName]
    differs: Differences | None = None
    completeness: PlanState | None = None


class PlanMade(ExecutionPlan, frozen=True, kw_only=True, rename="camel"):
    """A plan that this request made."""


class PlannedState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A planned test. `shard_id`: which shard has it, where that is settled."""

    file: str
    title: str
    state: TestState
    expected_duration: float
    id: str | None = None
    labels: tuple[str, ...] = ()
    shard_id: str | None = None
    quarantined: bool = False


class PlannedTestPage(msgspec.Struct, frozen=True, rename="camel"):
    """Planned tests in the order they are dealt out."""

    tests: list[PlannedState]
    next_cursor: str | None


class PlannedTestQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which planned tests to list; in `queue` mode only tests that are claimed have a shard."""

    shard_id: ShardId | None = None
    state: TestState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


class ClaimTests(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a claim; `done` names the lease that this runner has worked off.

    With `ahead` the lease that it has nearly worked off may get more tests.
    """

    runner_id: RunnerId
    shard_id: ShardId | None = None
    done: LeaseId | None = None
    ahead: bool = False


class ClaimedTest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A test to run; `expected_duration` in milliseconds."""

    file: str
    title: str
    id: str | None = None
    expected_duration: float | None = None
    quarantined: bool = False


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a runner gets; `retry_after` in seconds, `expected_duration` in milliseconds."""

    state: ClaimState
    lease_id: str | None
    shard_id: str | None
    runner_id: str
    lease_seconds: float
    expires_at: PrintedMoment | None
    attempt: int
    expected_duration: int
    tests: list[ClaimedTest]
    remaining: int
    retry_after: float | None
    reason: str | None


class Heartbeat(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a heartbeat."""

    runner_id: RunnerId


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a runner is to do now."""

    lease_id: str
    order: Order
    expires_at: PrintedMoment | None
    reason: str | None


class HandBackQuery(msgspec.Struct, frozen=True, rename="camel"):
    """Who hands a lease back."""

    runner_id: RunnerId


class HandedBack(msgspec.Struct, frozen=True, rename="camel"):
    """How many tests went back, and how many leases other runners have."""

    lease_id: str
    returned: int
    others: int


class StreamedAttempt(msgspec.Struct, frozen=True):
    """A try before the one that counts."""

    status: TestStatus
    duration: DurationMs | None = None
    error: str | None = None


class StreamedTest(TestItem, frozen=True, gc=False):
    """A test that has ended, with the tries before the one that counts."""

    attempts: Annotated[list[StreamedAttempt], Meta(max_length=100)] | None = None

    @property
    def details(self) -> TestDetails | None:
        """The tries, as the rows keep them."""
        if not self.attempts:
            return None
        return TestDetails(tuple(Attempt(one.status, one.duration, one.error) for one in self.attempts))


class StreamTests(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a piece of a stream. Each test is looked at by itself: one that is wrong harms no other."""

    lease_id: LeaseId
    runner_id: RunnerId
    tests: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_STREAMED)]


class RecordAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a test was taken."""

    outcome: Taken
    reason: str | None = None


class StreamAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the tests were taken, in their order, and what the runner is to do."""

    accepted: int
    duplicates: int
    late: int
    rejected: int
    records: list[RecordAnswer]
    order: Order
    expires_at: PrintedMoment | None
