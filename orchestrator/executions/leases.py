"""How tests are dealt out to runners, and how they come back: pure changes of a `Deal`.

A runner has one lease at a time. It holds a seat (a shard) and the tests that the runner is to run; a runner that
waits, or has nothing more to do than to close its shard, has a lease without tests. So every living runner is one whose
silence will be noticed, and a plan is worked off only when no lease is open.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import inf

import msgspec

from orchestrator.executions.model import Shard
from orchestrator.executions.plan import (
    CAUTION,
    Deal,
    Lease,
    Plan,
    PlanMode,
    ShardDeal,
    is_open,
    open_tests,
    packed_set,
    unpacked_set,
)

SHARE = 3
"""A batch takes one in `SHARE * shards` parts of what waits, so that batches shrink as the queue does."""

SHORTEST_BATCH_MS = 250.0
"""No batch is expected to be shorter while there is more to take: asking costs some milliseconds each time."""

AHEAD_MS = 1_000.0
"""A runner may ask for its next batch when what it has left is expected to take no longer."""

MOST_UNITS = 500


class Release(StrEnum):
    """Why a lease ended."""

    DONE = "done"
    LAPSED = "lapsed"
    HANDED_BACK = "handed_back"


def free_shard(plan: Plan, deal: Deal, shards: tuple[Shard, ...], wanted: int | None) -> int | None:
    """The seat for a runner without one: open, and nobody's. With tests to run if there is any such.

    Args:
        plan: of the execution.
        deal: how it stands.
        shards: of the execution.
        wanted: the number of the only shard that will do; None for any.
    """
    taken = {lease.shard for lease in deal.leases}
    free = [
        number
        for number, shard in enumerate(shards, 1)
        if shard.is_open and number not in taken and wanted in (None, number)
    ]
    if plan.mode is PlanMode.STATIC:
        with_tests = (one for one in free if _has_open(plan, deal, one))
        return next(with_tests, next(iter(free), None))
    return next(iter(free), None)


def shard_to_take_over(plan: Plan, deal: Deal, shards: tuple[Shard, ...]) -> int | None:
    """In `static` mode, a shard with tests whose runner is gone, or never came; None if there is none."""
    if plan.mode is PlanMode.QUEUE:
        return None
    number = free_shard(plan, deal, shards, None)
    return number if number is not None and _has_open(plan, deal, number) else None


def batch(plan: Plan, deal: Deal, shard: int) -> tuple[int, ...]:
    """The units that the runner in this shard gets now, those of one file together; none where nothing waits.

    A unit in which a runner fell silent is given alone: if it is what kills runners, it takes nothing with it.
    """
    is_static = plan.mode is PlanMode.STATIC
    is_whole = is_static or len(deal.shards) == 1  # there is nobody to share with
    share = SHARE * (CAUTION if plan.is_cold else 1)
    target = inf if is_whole else max(SHORTEST_BATCH_MS, deal.waiting_ms / (share * len(deal.shards)))
    most = len(plan.units) if is_whole else MOST_UNITS
    suspects = {unit for unit, _ in deal.lapses}
    units: list[int] = []
    taken_ms = 0.0
    for unit in _open_of(plan, deal, shard) if is_static else _waiting(plan, deal):
        unit_ms = plan.units[unit].expected_ms
        if units and (taken_ms + unit_ms > target or len(units) == most or unit in suspects):
            break
        units.append(unit)
        taken_ms += unit_ms
        if unit in suspects:
            break
    return tuple(_file_by_file(plan, units))


def grown(plan: Plan, deal: Deal, lease: Lease) -> Lease | None:
    """What is left of a lease, and its runner's next batch behind it, in `queue` mode; None where it is not to grow.

    It has to be nearly worked off, and enough has to wait for all others: toward the end, a test is better with whoever
    is idle first. What may kill runners is given alone.
    """
    left = [unit for unit in lease.units if is_open(plan, deal, unit)]
    more = batch(plan, deal, lease.shard) if plan.mode is PlanMode.QUEUE else ()
    rest_ms = deal.waiting_ms - sum(plan.units[unit].expected_ms for unit in more)
    is_early = sum(_open_ms(plan, deal, unit) for unit in left) > AHEAD_MS
    is_late = rest_ms < SHORTEST_BATCH_MS * (len(deal.shards) - 1)
    suspects = {unit for unit, _ in deal.lapses}
    if not more or is_early or is_late or not suspects.isdisjoint((*left, *more)):
        return None
    return msgspec.structs.replace(lease, units=(*left, *more))


def _open_ms(plan: Plan, deal: Deal, unit: int) -> float:
    whole = plan.units[unit]
    return whole.expected_ms * open_tests(plan, deal, (unit,)).bit_count() / whole.tests


def _open_of(plan: Plan, deal: Deal, shard: int) -> Iterator[int]:
    return (unit for unit in plan.units_of(shard) if is_open(plan, deal, unit))


def _has_open(plan: Plan, deal: Deal, shard: int) -> bool:
    return next(_open_of(plan, deal, shard), None) is not None


def _waiting(plan: Plan, deal: Deal) -> Iterator[int]:
    yield from (unit for unit in deal.returned if is_open(plan, deal, unit))
    yield from (unit for unit in range(deal.next_unit, len(plan.units)) if is_open(plan, deal, unit))


def _file_by_file(plan: Plan, units: Sequence[int]) -> list[int]:
    """So that what tests of a file share is made once; the files in the order of their first units."""
    order: dict[int, int] = {}
    for unit in units:
        order.setdefault(plan.units[unit].file, len(order))
    return sorted(units, key=lambda unit: order[plan.units[unit].file])


def is_through(plan: Plan, deal: Deal, shard: int) -> bool:
    """Whether a shard of a `static` plan has no test left to run."""
    return plan.mode is PlanMode.STATIC and not _has_open(plan, deal, shard)


def is_needed(plan: Plan, deal: Deal, shards: tuple[Shard, ...], shard: int) -> bool:
    """Whether tests are left that nobody could run if this shard ended."""
    if plan.mode is PlanMode.STATIC:
        return _has_open(plan, deal, shard)
    others = any(one.is_open for number, one in enumerate(shards, 1) if number != shard)
    return deal.unsettled_tests > 0 and not others


def seated(plan: Plan, deal: Deal, lease: Lease) -> Deal:
    """A lease is given, or an open one has got more; its units wait no longer."""
    former = deal.lease(lease.number)
    others = tuple(one for one in deal.leases if one is not former)
    changes: dict[str, object] = {"leases": (*others, lease), "last_lease": max(deal.last_lease, lease.number)}
    given = set(lease.units).difference(() if former is None else former.units)
    if plan.mode is PlanMode.QUEUE and given:
        changes["returned"] = tuple(unit for unit in deal.returned if unit not in given)
        changes["next_unit"] = max(deal.next_unit, 1 + max(given))
        waiting = deal.waiting_ms - sum(plan.units[unit].expected_ms for unit in given)
        changes["waiting_ms"] = max(0.0, waiting)
        claimed = open_tests(plan, deal, given).bit_count()
        changes["shards"] = _with_shard(deal, lease.shard, planned=claimed)
    return msgspec.structs.replace(deal, **changes)


def released(plan: Plan, deal: Deal, lease: Lease, why: Release, retries: int) -> Deal:
    """A lease has ended. What it left is given up where its runner said it is through, or its retries are used up.

    Runners run units in order. So of a silent one's, the first with open tests was under way, and has had its attempt;
    the others have not.

    Args:
        plan: of the execution.
        deal: how it stands, the lease open.
        lease: that ends.
        why: it ends.
        retries: how often a unit may be given out again after its lease lapsed.
    """
    left = tuple(unit for unit in lease.units if is_open(plan, deal, unit))
    lapses = dict(deal.lapses)
    if why is Release.LAPSED:
        lapses |= {unit: lapses.get(unit, 0) + 1 for unit in left[:1]}
    lost = {unit for unit in left if why is Release.DONE or lapses.get(unit, 0) > retries}
    back = tuple(unit for unit in left if unit not in lost)
    missing = open_tests(plan, deal, lost)
    changes: dict[str, object] = {
        "leases": tuple(one for one in deal.leases if one is not lease),
        "missing": deal.missing | missing,
        "lapses": tuple(lapses.items()),
    }
    returned = open_tests(plan, deal, back).bit_count()
    if plan.mode is PlanMode.QUEUE:
        changes["returned"] = tuple(sorted((*deal.returned, *back)))
        changes["waiting_ms"] = deal.waiting_ms + sum(plan.units[unit].expected_ms for unit in back)
        changes["shards"] = _with_shard(deal, lease.shard, planned=-returned, missing=missing.bit_count())
    else:
        changes["shards"] = _with_shard(deal, lease.shard, missing=missing.bit_count())
    return msgspec.structs.replace(deal, **changes)


def reported(deal: Deal, shard: int, tests: int, unexpected: frozenset[int]) -> Deal:
    """Results of a shard count from now on.

    Args:
        deal: how it stands.
        shard: the shard that reports.
        tests: the set of planned tests that it reports.
        unexpected: fingerprints of others that are new.
    """
    fresh = tests & ~deal.reported
    changed = _with_shard(
        deal,
        shard,
        reported=fresh.bit_count(),
        missing=-(fresh & deal.missing).bit_count(),
        unexpected=len(unexpected - deal.unexpected),
    )
    return msgspec.structs.replace(
        deal,
        reported=deal.reported | fresh,
        missing=deal.missing & ~fresh,
        unexpected=deal.unexpected | unexpected,
        shards=changed,
    )


def listed(deal: Deal, shard: int, tests: int, unexpected: frozenset[int]) -> Deal:
    """A submission of a shard counts from now on, in place of its former one.

    Args:
        deal: how it stands.
        shard: the shard that reports.
        tests: the set of planned tests that it reports.
        unexpected: fingerprints of others that are new.
    """
    former = unpacked_set(deal.shards[shard - 1].listed)
    dropped = former & ~tests
    number = dropped.bit_count()
    deal = msgspec.structs.replace(
        deal,
        reported=deal.reported & ~dropped,
        missing=deal.missing | dropped,
        shards=_with_shard(deal, shard, reported=-number, missing=number),
    )
    counting = (former & tests) | (tests & ~deal.reported)
    deal = reported(deal, shard, tests, unexpected)
    after = msgspec.structs.replace(deal.shards[shard - 1], listed=packed_set(counting))
    return msgspec.structs.replace(deal, shards=_replaced(deal, shard, after))


def closed(plan: Plan, deal: Deal, shard: int) -> Deal:
    """A shard has ended. In `static` mode nobody else can run what it has left."""
    if plan.mode is PlanMode.QUEUE:
        return deal
    left = open_tests(plan, deal, plan.units_of(shard))
    if not left:
        return deal
    shards = _with_shard(deal, shard, missing=left.bit_count())
    return msgspec.structs.replace(deal, missing=deal.missing | left, shards=shards)


def _with_shard(deal: Deal, number: int, **more: int) -> tuple[ShardDeal, ...]:
    before = deal.shards[number - 1]
    # What a shard is missing another may report in the end, so that a count can fall at the wrong one of the two.
    after = msgspec.structs.replace(before, **{name: max(0, getattr(before, name) + by) for name, by in more.items()})
    return _replaced(deal, number, after)


def _replaced(deal: Deal, number: int, after: ShardDeal) -> tuple[ShardDeal, ...]:
    return (*deal.shards[: number - 1], after, *deal.shards[number:])
