"""The tests of plans by name: a manifest never changes, so each process keeps those it needs at hand."""

import asyncio
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice

from aiohttp import web

from orchestrator.errors import Conflict
from orchestrator.executions.commands import Placed
from orchestrator.executions.model import TestOutcome
from orchestrator.executions.planning import PlannedTest
from storage import plans
from storage.plans import Packed
from storage.postgres import Reader

MOST_BYTES = 64 * 1024 * 1024
"""Kept at hand: about 30 bytes a test, so some two million tests."""

MOST_QUARANTINED = 1000
"""So many of a plan's quarantined tests are named."""

PIECE = 256
"""Tests that are packed, and unpacked again, together."""

_OUTSIDE = -1
_TEST_BYTES = 400
"""What a test takes unpacked, about."""


class PlannedTests:
    """The tests of a plan in the order of their places, packed in pieces: as objects they would take much more."""

    def __init__(self, tests: Sequence[PlannedTest]) -> None:
        self._length = len(tests)
        self._pieces = [plans.pack_tests(tests[first : first + PIECE]) for first in range(0, len(tests), PIECE)]
        self._unpacked: tuple[int, tuple[PlannedTest, ...]] = (_OUTSIDE, ())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> PlannedTest:
        number, within = divmod(place, PIECE)
        return self._piece(number)[within]

    def __iter__(self) -> Iterator[PlannedTest]:
        for number in range(len(self._pieces)):
            yield from self._piece(number)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self._pieces)) + PIECE * _TEST_BYTES

    def _piece(self, number: int) -> tuple[PlannedTest, ...]:
        """Whoever wants a test mostly wants its neighbours next. Threads may meet here: the pair is set at once."""
        unpacked = self._unpacked
        if unpacked[0] != number:
            self._unpacked = unpacked = (number, plans.unpack(self._pieces[number]))
        return unpacked[1]


class Manifest:
    """The tests of one plan.

    Attributes:
        tests: in the order of their places.
        quarantined: those in quarantine, `MOST_QUARANTINED` at the most.
        rerun_of: the execution whose failed and missing tests these are; None for a plan of all tests.
        size: bytes that it takes.
    """

    def __init__(self, packed: Packed) -> None:
        tests = plans.unpack(packed.tests)
        self.tests = PlannedTests(tests)
        self.quarantined = list(islice((test for test in tests if test.quarantined), MOST_QUARANTINED))
        self.rerun_of = packed.rerun_of
        fingerprints = [_fingerprint(test.file, test.title) for test in tests]
        places = sorted(range(len(tests)), key=fingerprints.__getitem__)
        # With 63 bits no two tests of a plan are taken for one.
        self._fingerprints = array("q", map(fingerprints.__getitem__, places))
        self._places = array("i", places)
        self.size = self.tests.size + len(tests) * (self._fingerprints.itemsize + self._places.itemsize)

    def placed(self, tests: Sequence[TestOutcome]) -> Placed:
        """Where reported tests stand in the plan."""
        fingerprints = [_fingerprint(test.file or "", test.title) for test in tests]
        return Placed(tuple(map(self._place, fingerprints)), tuple(fingerprints))

    def has(self, file: str, title: str) -> bool:
        """Whether a test is planned."""
        return self._place(_fingerprint(file, title)) != _OUTSIDE

    def _place(self, fingerprint: int) -> int:
        index = bisect_left(self._fingerprints, fingerprint)
        is_there = index < len(self._fingerprints) and self._fingerprints[index] == fingerprint
        return self._places[index] if is_there else _OUTSIDE


class Manifests:
    """Manifests at hand; each is read once for all who want it at the same time.

    Where they take more than `MOST_BYTES`, the tenant that takes most loses the one it has not used for longest, so
    that no tenant's plans push out those of others.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[int, OrderedDict[str, Manifest]] = {}
        self._reading: dict[tuple[int, str], asyncio.Task[Manifest]] = {}

    async def of(self, tenant_id: int, execution_id: str) -> Manifest:
        """The manifest of an execution's plan.

        Raises:
            Conflict: it has no plan.
            Unavailable: the database is away.
        """
        kept = self._kept.get(tenant_id)
        if kept is not None and execution_id in kept:
            kept.move_to_end(execution_id)
            return kept[execution_id]
        key = (tenant_id, execution_id)
        if key not in self._reading:
            self._reading[key] = reading = asyncio.create_task(self._read(*key))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(self._reading[key])

    async def _read(self, tenant_id: int, execution_id: str) -> Manifest:
        async with self._reader.tenant(tenant_id) as connection:
            packed = await plans.packed(connection, execution_id)
        if packed is None:
            raise Conflict(f"{execution_id} has no plan; PUT one to its /plan first")
        manifest = await asyncio.to_thread(Manifest, packed)
        self._kept.setdefault(tenant_id, OrderedDict())[execution_id] = manifest
        self._make_room()
        return manifest

    def _make_room(self) -> None:
        sizes = {tenant: sum(one.size for one in kept.values()) for tenant, kept in self._kept.items()}
        while sum(sizes.values()) > MOST_BYTES:
            largest = max(sizes, key=sizes.__getitem__)
            _, dropped = self._kept[largest].popitem(last=False)
            sizes[largest] -= dropped.size
            if not self._kept[largest]:
                del self._kept[largest], sizes[largest]


def _fingerprint(file: str, title: str) -> int:
    digest = blake2b(f"{file}\0{title}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


MANIFESTS = web.AppKey("manifests", Manifests)
