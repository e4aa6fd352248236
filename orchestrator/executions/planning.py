"""How a plan is made: from the tests that will be run and what is known of how long each takes. Pure and deterministic.

Units are files, because what tests of a file share (fixtures, a browser, a database) is then made once. A file that
would take more than `UNIT_SHARE` of a shard's time is cut into pieces, down to single tests; but not into pieces
shorter than `SHORTEST_UNIT_MS`, which gain less than their claims and fixtures cost.

`static` deals the longest unit first, each to the shard that has least so far (Graham's LPT rule). `queue` keeps the
units in that order for runners to claim.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from heapq import heapify, heapreplace
from math import inf
from statistics import median

import msgspec

from orchestrator.executions.plan import CAUTION, Plan, PlanMode, Unit, is_cold

UNIT_SHARE = 0.1
SHORTEST_UNIT_MS = 500.0
UNKNOWN_MS = 1000.0
SHORTEST_MS = 1.0
_DIGEST_BYTES = 16


class UnitOrder(StrEnum):
    """Which units come first: the longest, or those with tests that failed lately."""

    DURATION = "duration"
    FAILED_FIRST = "failedFirst"


class PlannedTest(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """A test of a manifest.

    Attributes:
        name: the runner's own name of it.
        quarantined: its failure does not fail the run.
    """

    file: str
    title: str
    name: str | None = None
    labels: tuple[str, ...] = ()
    expected_ms: float | None = None
    quarantined: bool = False


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of a test from former executions; `expected_ms` is None for one that never ran."""

    expected_ms: float | None = None
    last_failed: bool = False
    quarantined: bool = False


class Drawn(msgspec.Struct, frozen=True):
    """A plan, and its manifest: the tests in the order of their places."""

    plan: Plan
    manifest: tuple[PlannedTest, ...]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How to plan; `sizes` are bytes of files."""

    mode: PlanMode
    shards: int
    order: UnitOrder = UnitOrder.DURATION
    split_files: bool = True
    sizes: Mapping[str, int] = {}


NOTHING_KNOWN = Known()


def draw(tests: Sequence[PlannedTest], known: Sequence[Known], rules: Rules, now: datetime) -> Drawn:
    """Make a plan.

    Args:
        tests: what will be run, each file and title once.
        known: of each of them, in the same order.
        rules: how to plan.
        now: when.
    """
    expected = estimates(tests, known, rules.sizes)
    known_tests = sum(one.expected_ms is not None for one in known)
    limit = _longest_unit(sum(expected) / rules.shards, is_cold=is_cold(known_tests, len(tests)))
    pieces = _pieces(tests, expected, limit if rules.split_files else inf)
    failed = {place for place, one in enumerate(known) if one.last_failed}
    if rules.order is UnitOrder.FAILED_FIRST:
        pieces.sort(key=lambda piece: failed.isdisjoint(piece.places))
    dealt = _dealt(pieces, rules.shards)
    if rules.mode is PlanMode.STATIC:
        dealt = [_side_by_side(mine) for mine in dealt]
        ordered = [piece for mine in dealt for piece in mine]
    else:
        ordered = pieces
    bounds = [0]
    for mine in dealt:
        bounds.append(bounds[-1] + len(mine))
    units, first = [], 0
    files: dict[str, int] = {}
    for piece in ordered:
        file = files.setdefault(piece.file, len(files))
        units.append(Unit(first, len(piece.places), piece.expected_ms, file))
        first += len(piece.places)
    manifest = tuple(
        msgspec.structs.replace(
            tests[place], expected_ms=round(expected[place], 1), quarantined=known[place].quarantined
        )
        for piece in ordered
        for place in piece.places
    )
    plan = Plan(
        mode=rules.mode,
        created_at=now,
        tests=len(tests),
        known_tests=known_tests,
        units=tuple(units),
        bounds=tuple(bounds) if rules.mode is PlanMode.STATIC else (0,) * (rules.shards + 1),
        shard_ms=tuple(sum(piece.expected_ms for piece in mine) for mine in dealt),
        digest=digest(tests),
    )
    return Drawn(plan, manifest)


def digest(tests: Sequence[PlannedTest]) -> bytes:
    """Equal for the same tests in whatever order."""
    names = sorted(f"{test.file}\0{test.title}" for test in tests)
    return blake2b("\0\0".join(names).encode(), digest_size=_DIGEST_BYTES).digest()


def estimates(tests: Sequence[PlannedTest], known: Sequence[Known], sizes: Mapping[str, int]) -> list[float]:
    """How long each test is expected to take, in milliseconds.

    A test that never ran takes as long as the median of its file's known tests; in a file nobody knows, as that of
    files of about its size (each class holds files up to twice as large as the one before); else as that of all.
    """
    by_file: dict[str, list[float]] = {}
    by_class: dict[int, list[float]] = {}
    for test, one in zip(tests, known, strict=True):
        if one.expected_ms is not None:
            by_file.setdefault(test.file, []).append(one.expected_ms)
            if test.file in sizes:
                by_class.setdefault(sizes[test.file].bit_length(), []).append(one.expected_ms)
    all_known = [value for values in by_file.values() for value in values]
    in_file = {file: median(values) for file, values in by_file.items()}
    in_class = {size: median(values) for size, values in by_class.items()}
    otherwise = median(all_known) if all_known else UNKNOWN_MS

    def guess(file: str) -> float:
        size = sizes.get(file)
        return otherwise if size is None else in_class.get(size.bit_length(), otherwise)

    guesses = {test.file: guess(test.file) for test in tests} | in_file
    return [
        max(SHORTEST_MS, guesses[test.file] if one.expected_ms is None else one.expected_ms)
        for test, one in zip(tests, known, strict=True)
    ]


def _longest_unit(shard_ms: float, *, is_cold: bool) -> float:
    # Durations that are guessed may be far from the truth: no piece is known to be short.
    return UNIT_SHARE * shard_ms / CAUTION if is_cold else max(UNIT_SHARE * shard_ms, SHORTEST_UNIT_MS)


class _Piece(msgspec.Struct, frozen=True, gc=False):
    """A file's tests, or some that follow one another; `number` settles ties, so that equal inputs give equal plans."""

    number: int
    places: tuple[int, ...]
    expected_ms: float
    file: str


def _pieces(tests: Sequence[PlannedTest], expected: Sequence[float], limit: float) -> list[_Piece]:
    """The units to be, the longest first; none of several tests is longer than the limit."""
    files: dict[str, list[int]] = {}
    for place, test in enumerate(tests):
        files.setdefault(test.file, []).append(place)
    pieces: list[_Piece] = []
    for file in sorted(files):
        for mine in _cut(files[file], expected, limit):
            pieces.append(_Piece(len(pieces), tuple(mine), sum(expected[place] for place in mine), file))
    pieces.sort(key=lambda piece: (-piece.expected_ms, piece.number))
    return pieces


def _cut(mine: Sequence[int], expected: Sequence[float], limit: float) -> list[list[int]]:
    if sum(expected[place] for place in mine) <= limit:
        return [list(mine)]
    cut: list[list[int]] = []
    room = 0.0
    for place in mine:
        if not cut or expected[place] > room:
            cut.append([])
            room = limit
        cut[-1].append(place)
        room -= expected[place]
    return cut


def _dealt(pieces: Sequence[_Piece], shards: int) -> list[list[_Piece]]:
    """Each piece to the shard with the least so far, the lowest number among equals."""
    dealt: list[list[_Piece]] = [[] for _ in range(shards)]
    loads = [(0.0, shard) for shard in range(shards)]
    heapify(loads)
    for piece in pieces:
        load, shard = loads[0]
        dealt[shard].append(piece)
        heapreplace(loads, (load + piece.expected_ms, shard))
    return dealt


def _side_by_side(mine: Sequence[_Piece]) -> list[_Piece]:
    """A shard's pieces with those of one file together, in the file's order, so that what they share is made once."""
    order = {piece.file: place for place, piece in reversed(list(enumerate(mine)))}
    return sorted(mine, key=lambda piece: (order[piece.file], piece.number))
