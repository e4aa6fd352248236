"""A plan: which tests will be run, in which units they are dealt out, and who has what of them.

Tests are known by their place in the plan, from 0; the names stand in its manifest (`manifest`), which the rules need
not know. Sets of tests are integers, bit n for test n: copying, joining and counting 100,000 tests takes microseconds.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

import msgspec

MAX_TESTS = 200_000
CAUTION = 4
"""Where durations are mostly guesses, units and batches are so many times smaller: a wrong guess costs less."""

MAX_UNEXPECTED = 10_000
"""Tests without a place in the plan that are told apart in one execution; more are not taken."""


class PlanMode(StrEnum):
    """`static`: each shard's tests are settled beforehand. `queue`: runners claim batches until nothing is left."""

    STATIC = "static"
    QUEUE = "queue"


class Unit(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Tests that are dealt out together, a file or a part of one: `tests` of them from place `first`.

    Attributes:
        file: a number that the parts of one file share.
    """

    first: int
    tests: int
    expected_ms: float
    file: int = -1


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What does not change any more once it is made.

    Attributes:
        tests: how many are planned.
        known_tests: of how many it was known how long they take.
        units: in the order they are dealt out; in `static` mode shard by shard.
        bounds: shard n has the units from `bounds[n - 1]` up to `bounds[n]`; in `queue` mode none has any.
        shard_ms: what each shard is expected to take.
        digest: of the manifest; equal for equal manifests.
    """

    mode: PlanMode
    created_at: datetime
    tests: int
    known_tests: int
    units: tuple[Unit, ...]
    bounds: tuple[int, ...]
    shard_ms: tuple[float, ...]
    digest: bytes

    @property
    def expected_ms(self) -> float:
        """Of the whole: the longest shard's."""
        return max(self.shard_ms, default=0.0)

    @property
    def is_cold(self) -> bool:
        """Whether the durations are mostly guesses."""
        return is_cold(self.known_tests, self.tests)

    def units_of(self, shard: int) -> range:
        """The units of shard `shard`, from 1, in `static` mode."""
        return range(self.bounds[shard - 1], self.bounds[shard])

    def planned(self) -> tuple[int, ...]:
        """How many tests each shard is given beforehand."""
        if self.mode is PlanMode.QUEUE:
            return (0,) * len(self.shard_ms)
        return tuple(sum(self.units[unit].tests for unit in range(*bounds)) for bounds in pairwise(self.bounds))


def is_cold(known: int, tests: int) -> bool:
    """Whether of so many tests, of which so many are known, most durations are guesses."""
    return 2 * known < tests


class Lease(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A runner's right to run some tests, and its seat in a shard. Without tests it only holds the seat.

    Attributes:
        number: dense in its execution, from 1, and never given twice: what fences a former holder off.
        attempt: 1, or more where leases of the same tests have lapsed.
    """

    number: int
    shard: int
    runner_id: str
    units: tuple[int, ...] = ()
    attempt: int = 1


class ShardDeal(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """What a shard has of the plan, in tests. In `queue` mode `planned` is what it has claimed so far.

    Attributes:
        listed: the packed set of tests that count by its submission, which another replaces; empty where it streams.
    """

    planned: int = 0
    reported: int = 0
    missing: int = 0
    unexpected: int = 0
    listed: bytes = b""


class Deal(msgspec.Struct, frozen=True, gc=False):
    """How far a plan has been dealt out and worked off.

    Attributes:
        planned: tests in the plan.
        expected_ms: what the whole is expected to take, as `Plan.expected_ms`.
        next_unit: in `queue` mode, the first unit that was never claimed.
        returned: in `queue` mode, units to be claimed again, before all others.
        waiting_ms: expected duration of all that waits to be claimed, in `queue` mode.
        reported, missing: sets of tests: with a result that counts; given up.
        unexpected: fingerprints of tests that were reported without being planned.
        lapses: unit to how many leases lapsed in which it was the first with open tests, and so the one being run.
        shards: in order.
    """

    mode: PlanMode
    planned: int
    shards: tuple[ShardDeal, ...]
    expected_ms: float
    next_unit: int = 0
    returned: tuple[int, ...] = ()
    waiting_ms: float = 0.0
    reported: int = 0
    missing: int = 0
    unexpected: frozenset[int] = frozenset()
    lapses: tuple[tuple[int, int], ...] = ()
    leases: tuple[Lease, ...] = ()
    last_lease: int = 0

    @property
    def settled(self) -> int:
        """The set of tests that nobody has to run any more."""
        return self.reported | self.missing

    @property
    def unsettled_tests(self) -> int:
        """How many tests are still to be reported or given up."""
        return self.planned - self.settled.bit_count()

    @property
    def remaining_ms(self) -> float:
        """What is left, if the tests that are left take as long as the others."""
        return self.expected_ms * self.unsettled_tests / self.planned

    def lease(self, number: int) -> Lease | None:
        """The lease with this number, as long as it is open."""
        return next((lease for lease in self.leases if lease.number == number), None)

    def lease_of(self, runner_id: str) -> Lease | None:
        """The lease that a runner has."""
        return next((lease for lease in self.leases if lease.runner_id == runner_id), None)

    def lease_in(self, shard: int) -> Lease | None:
        """The lease that holds a shard's seat."""
        return next((lease for lease in self.leases if lease.shard == shard), None)


def packed_set(tests: int) -> bytes:
    """A set of tests as it is kept."""
    return tests.to_bytes((tests.bit_length() + 7) // 8, "little")


def unpacked_set(content: bytes) -> int:
    """The set that `packed_set` packed."""
    return int.from_bytes(content, "little")


def first_deal(plan: Plan) -> Deal:
    """Nothing is dealt out yet."""
    waiting = sum(unit.expected_ms for unit in plan.units) if plan.mode is PlanMode.QUEUE else 0.0
    shards = tuple(ShardDeal(planned=tests) for tests in plan.planned())
    return Deal(plan.mode, plan.tests, shards, plan.expected_ms, waiting_ms=waiting)


def is_open(plan: Plan, deal: Deal, unit: int) -> bool:
    """Whether a unit has tests that are still to be run."""
    return bool(_open_within(plan.units[unit], deal))


def open_places(plan: Plan, deal: Deal, units: Iterable[int]) -> list[int]:
    """The places of the tests of some units that are still to be run, unit by unit."""
    return [
        plan.units[unit].first + place
        for unit in units
        for place, is_member in enumerate(reversed(f"{_open_within(plan.units[unit], deal):b}"))
        if is_member == "1"
    ]


def open_tests(plan: Plan, deal: Deal, units: Iterable[int]) -> int:
    """The set of tests of some units that are still to be run."""
    tests = 0
    for unit in units:
        tests |= _open_within(plan.units[unit], deal) << plan.units[unit].first
    return tests


def _open_within(unit: Unit, deal: Deal) -> int:
    """Bit n for the unit's nth test. Shifted down first: of 100,000 tests only the unit's few are looked at."""
    return ~(deal.settled >> unit.first) & ((1 << unit.tests) - 1)
