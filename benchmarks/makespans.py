"""How long a suite takes over several shards, by the rules of plans and leases, and by those of other splitters.

The shards are simulated, the rules are the server's own. History is a run before, in which every test took a tenth
more or less (as machines do); a claim for which a runner waits takes `CLAIM_MS`, and what the tests of a file share
takes `SETUP_MS` in each shard that runs some of them.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count

from benchmarks.figures import Figure, figure
from benchmarks.steps import Steps
from benchmarks.traces import Trace, traces
from orchestrator.executions import leases, planning
from orchestrator.executions.leases import Release
from orchestrator.executions.plan import Deal, Lease, PlanMode, first_deal, open_places
from orchestrator.executions.planning import Drawn, Known, PlannedTest, Rules
from tms_sdk.manifest import TAIL_MS

SHARDS = 4
CLAIM_MS = 15.0
SETUP_MS = 10.0
NOISE = 0.1
SAME = 1.005
"""Not worse than another: a two-hundredth is luck with guesses that are a tenth off."""

_NOW = datetime(2026, 11, 25, tzinfo=UTC)


def measure(steps: Steps) -> list[Figure]:
    """All traces in both modes, with history and without."""
    found = []
    with steps.step(f"makespans of {len(traces())} traces over {SHARDS} shards"):
        for trace in traces():
            before = _noisy(trace)
            best = max((trace.total_ms + SETUP_MS * len(trace.files)) / SHARDS, trace.longest_ms + SETUP_MS)
            ours = {
                (mode, is_known): _ours(trace, before if is_known else None, mode)
                for mode in PlanMode
                for is_known in (True, False)
            }
            others = {
                "pytest-split (least_duration)": max(_least_duration(trace, before)),
                "round-robin by file": max(_round_robin(trace)),
            }
            for (mode, is_known), value in ours.items():
                target = 1.05 if is_known else (1.15 if mode is PlanMode.QUEUE else None)
                name = f"{trace.name}: {mode}{'' if is_known else ', cold'}, by the best possible"
                found.append(figure(name, value / 1000, "s", floor=best / 1000, at_most=target))
            for name, value in others.items():
                for mode in PlanMode:
                    mine = ours[mode, True] / 1000
                    found.append(
                        figure(f"{trace.name}: {mode}, by {name}", mine, "s", floor=value / 1000, at_most=SAME)
                    )
    return found


def _noisy(trace: Trace) -> dict[str, list[float]]:
    rnd = random.Random(trace.name)  # noqa: S311 - a machine's moods
    return {
        file: [duration * rnd.uniform(1 - NOISE, 1 + NOISE) for duration in durations]
        for file, durations in trace.files.items()
    }


def _ours(trace: Trace, before: Mapping[str, list[float]] | None, mode: PlanMode) -> float:
    names = [(file, number) for file, durations in trace.files.items() for number in range(len(durations))]
    tests = [PlannedTest(file, f"test_{number}") for file, number in names]
    known = [Known(None if before is None else before[file][number]) for file, number in names]
    made = planning.draw(tests, known, Rules(mode=mode, shards=SHARDS), _NOW)
    return _simulate(made, trace)


class _Runner:
    """A simulated shard.

    Attributes:
        places: what it has been given under its lease.
        ran: how many of them it has begun.
        border: where its last batch begins.
        files: whose tests it has run in this batch.
        now: when its test has ended.
    """

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.lease: Lease | None = None
        self.places: list[int] = []
        self.ran = self.border = 0
        self.files: set[str] = set()
        self.now = 0.0


def _simulate(made: Drawn, trace: Trace) -> float:
    """Runners that claim, run and report until nothing is left; when the last has ended.

    As the client does, a runner asks for more when it begins the tests that should take the last half second of its
    lease. What it gets then costs it no time.
    """
    plan, deal, numbers = made.plan, first_deal(made.plan), count(1)
    runners = [_Runner(shard) for shard in range(1, SHARDS + 1)]
    events = [(0.0, runner.shard) for runner in runners]
    while events:
        now, shard = heappop(events)
        runner = runners[shard - 1]
        runner.now = now
        if runner.ran == len(runner.places):
            if runner.lease is not None:
                deal = leases.released(plan, _reported(deal, runner), runner.lease, Release.DONE, 0)
            units = leases.batch(plan, deal, shard)
            if not units:
                continue
            runner.lease = Lease(next(numbers), shard, f"runner {shard}", units)
            runner.places, runner.ran, runner.border = open_places(plan, deal, units), 0, 0
            deal = leases.seated(plan, deal, runner.lease)
            runner.now += CLAIM_MS
        if runner.lease is not None and _is_at_tail(made, runner):
            deal = _reported(deal, runner)
            if grown := leases.grown(plan, deal, runner.lease):
                runner.lease, runner.border = grown, len(runner.places)
                runner.places[runner.ran :] = open_places(plan, deal, grown.units)
                deal = leases.seated(plan, deal, grown)
        if runner.ran == runner.border:
            runner.files.clear()
        heappush(events, (runner.now + _took(trace, made.manifest[runner.places[runner.ran]], runner.files), shard))
        runner.ran += 1
    return max(runner.now for runner in runners)


def _is_at_tail(made: Drawn, runner: _Runner) -> bool:
    """Whether the client would ask for more as it begins the next test; it asks once."""
    expected = [made.manifest[place].expected_ms or TAIL_MS for place in runner.places[runner.ran :]]
    return sum(expected[1:]) < TAIL_MS <= sum(expected) or len(expected) == len(runner.places)


def _took(trace: Trace, test: PlannedTest, files: set[str]) -> float:
    """How long a test takes; with what the first of its file sets up in a batch."""
    setup = 0.0 if test.file in files else SETUP_MS
    files.add(test.file)
    return setup + trace.files[test.file][int(test.title.removeprefix("test_"))]


def _reported(deal: Deal, runner: _Runner) -> Deal:
    tests = sum(1 << place for place in runner.places[: runner.ran])
    return leases.reported(deal, runner.shard, tests & ~deal.reported, frozenset())


def _least_duration(trace: Trace, before: Mapping[str, list[float]]) -> list[float]:
    """As pytest-split does it: single tests, the longest first, each to the group with the least so far."""
    tests = [
        (known, file, took)
        for file, durations in trace.files.items()
        for known, took in zip(before[file], durations, strict=True)
    ]
    expected, real = [0.0] * SHARDS, [0.0] * SHARDS
    files: list[set[str]] = [set() for _ in range(SHARDS)]
    for known, file, took in sorted(tests, reverse=True):
        group = expected.index(min(expected))
        expected[group] += known
        real[group] += took
        files[group].add(file)
    return [took + SETUP_MS * len(mine) for took, mine in zip(real, files, strict=True)]


def _round_robin(trace: Trace) -> list[float]:
    shards = [0.0] * SHARDS
    for number, durations in enumerate(trace.files.values()):
        shards[number % SHARDS] += SETUP_MS + sum(durations)
    return shards
