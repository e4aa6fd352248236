"""How long a suite takes over several shards, by the rules of plans and leases, and by those of other splitters.

The shards are simulated, the rules are the server's own. History is a run before, in which every test took a tenth
more or less (as machines do); a claim takes `CLAIM_MS`, and what the tests of a file share takes `SETUP_MS` in each
shard that runs some of them.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count

from benchmarks.figures import Figure, figure
from benchmarks.steps import Steps
from benchmarks.traces import Trace, traces
from orchestrator.executions import leases, planning
from orchestrator.executions.leases import Release
from orchestrator.executions.plan import Deal, Lease, Plan, PlanMode, first_deal, open_places, open_tests
from orchestrator.executions.planning import Drawn, Known, PlannedTest, Rules

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


def _simulate(made: Drawn, trace: Trace) -> float:
    """Runners that claim, run and report until nothing is left; when the last has ended."""
    plan = made.plan
    deal, ends = first_deal(plan), [0.0] * SHARDS
    numbers, events = count(1), [(0.0, shard) for shard in range(1, SHARDS + 1)]
    held: dict[int, Lease] = {}
    while events:
        now, shard = heappop(events)
        if shard in held:
            deal = _reported(plan, deal, held.pop(shard))
        units = leases.batch(plan, deal, shard)
        if not units:
            continue
        held[shard] = lease = Lease(next(numbers), shard, f"runner {shard}", units)
        took = CLAIM_MS + _run(trace, [made.manifest[place] for place in open_places(plan, deal, units)])
        deal = leases.seated(plan, deal, lease)
        ends[shard - 1] = now + took
        heappush(events, (now + took, shard))
    return max(ends)


def _run(trace: Trace, tests: Sequence[PlannedTest]) -> float:
    """How long some tests take one after the other."""
    files = {test.file for test in tests}
    return SETUP_MS * len(files) + sum(trace.files[test.file][int(test.title.removeprefix("test_"))] for test in tests)


def _reported(plan: Plan, deal: Deal, lease: Lease) -> Deal:
    deal = leases.reported(deal, lease.shard, open_tests(plan, deal, lease.units), frozenset())
    return leases.released(plan, deal, lease, Release.DONE, 0)


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
