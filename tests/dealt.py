"""Plans and what runners ask of them, as tests give them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestrator.executions import machine, planning, streams
from orchestrator.executions.commands import (
    AnyCommand,
    Beat,
    Claim,
    Claimed,
    HandBack,
    Lapse,
    MakePlan,
    Order,
    Placed,
    Stream,
)
from orchestrator.executions.decisions import Decision
from orchestrator.executions.evolution import evolve
from orchestrator.executions.model import Configuration, Execution, TestOutcome, TestStatus
from orchestrator.executions.plan import Plan, PlanMode
from orchestrator.executions.planning import Known, PlannedTest, Rules
from storage import plans, result_rows
from tests import orders

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def a_manifest(files: int, each: int) -> list[PlannedTest]:
    """So many files with so many tests each."""
    return [PlannedTest(f"tests/test_{file}.py", f"test_{number}") for file in range(files) for number in range(each)]


def drawn(
    planned: Sequence[PlannedTest], mode: PlanMode, shards: int = 2, durations: Sequence[float | None] | None = None
) -> planning.Drawn:
    """A plan of tests whose durations are known, or all unknown."""
    known = [Known(one) for one in durations or [None] * len(planned)]
    return planning.draw(planned, known, Rules(mode=mode, shards=shards), NOW)


def make_plan(execution_id: str, tenant: int, made: planning.Drawn) -> MakePlan:
    """The command that settles a plan."""
    return MakePlan(
        command_id=orders.command_id(),
        tenant_id=tenant,
        execution_id=execution_id,
        plan=made.plan,
        manifest=plans.pack(made.manifest),
    )


def lease_of(claimed: Claimed) -> int:
    """The number of the lease that a claim gave."""
    assert claimed.lease is not None
    return claimed.lease


class Run:
    """An execution with a plan, and its runners.

    Attributes:
        state: as it stands.
        now: the time.
    """

    def __init__(self, plan: Plan, shards: int = 2, retries: int = 1) -> None:
        made = orders.create(shards=shards)
        self.common: dict[str, Any] = {"command_id": "c", "tenant_id": 1, "execution_id": made.execution_id}
        self.made = made
        self.now = NOW
        configuration = Configuration(shards=shards, timeout=60_000, retries=retries)
        self.state = self._begin(made, configuration)
        self.give(MakePlan(**self.common, plan=plan, manifest=b""))

    def _begin(self, made: Any, configuration: Configuration) -> Execution:
        (created,) = machine.decide(None, msgspec.structs.replace(made, configuration=configuration), self.now).events
        return evolve(None, created)

    def give(self, command: AnyCommand) -> Decision:
        """Carry out a command."""
        decision = machine.decide(self.state, command, self.now)
        for event in decision.events:
            self.state = evolve(self.state, event)
        return decision

    def claim(self, runner: str, shard: str | None = None, done: int | None = None, *, ahead: bool = False) -> Claimed:
        """What a runner gets."""
        asked = Claim(**self.common, runner_id=runner, shard_id=shard, done=done, ahead=ahead)
        claimed = self.give(asked).claimed
        assert claimed is not None
        return claimed

    def lapse(self, claimed: Claimed) -> None:
        """Let a lease lapse."""
        self.give(Lapse(**self.common, lease=lease_of(claimed)))

    def hand_back(self, runner: str, claimed: Claimed) -> int:
        """How many tests go back."""
        return self.give(HandBack(**self.common, runner_id=runner, lease=lease_of(claimed))).returned

    def beat(self, runner: str, claimed: Claimed) -> Order | None:
        """What a runner is to do."""
        return self.give(Beat(**self.common, runner_id=runner, lease=lease_of(claimed))).order

    def report(
        self, runner: str, claimed: Claimed, places: Sequence[int], status: TestStatus = TestStatus.PASSED
    ) -> str:
        """How the tests in these places are taken, reported under a lease."""
        assert claimed.shard_id is not None
        return self.stream(runner, lease_of(claimed), claimed.shard_id, Placed(tuple(places), tuple(places)), status)

    def stream(
        self, runner: str, lease: int, shard: str, placed: Placed, status: TestStatus = TestStatus.PASSED
    ) -> str:
        """How tests are taken."""
        outcomes = [TestOutcome(f"test {place}", status) for place in placed.places]
        submission = orders.command_id()
        command = Stream(
            **self.common,
            runner_id=runner,
            lease=lease,
            shard_id=shard,
            submission_id=submission,
            tests=streams.status_letters(outcomes),
            placed=placed,
            rows=result_rows.encode(1, submission, self.now, outcomes),
            digest=b"",
            reported_at=self.now,
        )
        return self.give(command).outcomes
