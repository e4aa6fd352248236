"""The tests of plans by name: a manifest never changes, so each process keeps those it needs at hand."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from aiohttp import web

from orchestrator.errors import Conflict
from orchestrator.executions.commands import Placed
from orchestrator.executions.model import TestOutcome
from orchestrator.executions.planning import PlannedTest
from storage import plans
from storage.postgres import Reader

MOST_TESTS = 400_000
"""Tests kept at hand, about 300 bytes each; the manifests used last stay."""

_OUTSIDE = -1


class Manifest:
    """The tests of one plan.

    Attributes:
        tests: in the order of their places.
    """

    def __init__(self, tests: Sequence[PlannedTest]) -> None:
        self.tests = tests
        self._places = {(test.file, test.title): place for place, test in enumerate(tests)}

    def placed(self, tests: Sequence[TestOutcome]) -> Placed:
        """Where reported tests stand in the plan."""
        return Placed(
            tuple(self._places.get((test.file or "", test.title), _OUTSIDE) for test in tests),
            tuple(_fingerprint(test) for test in tests),
        )

    def has(self, file: str, title: str) -> bool:
        """Whether a test is planned."""
        return (file, title) in self._places


class Manifests:
    """Manifests at hand; each is read once for all who want it at the same time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: OrderedDict[tuple[int, str], Manifest] = OrderedDict()
        self._reading: dict[tuple[int, str], asyncio.Task[Manifest]] = {}

    async def of(self, tenant_id: int, execution_id: str) -> Manifest:
        """The manifest of an execution's plan.

        Raises:
            Conflict: it has no plan.
            Unavailable: the database is away.
        """
        key = (tenant_id, execution_id)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._reading:
            self._reading[key] = reading = asyncio.create_task(self._read(*key))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(self._reading[key])

    async def _read(self, tenant_id: int, execution_id: str) -> Manifest:
        async with self._reader.tenant(tenant_id) as connection:
            packed = await plans.packed_manifest(connection, execution_id)
        if packed is None:
            raise Conflict(f"{execution_id} has no plan; PUT one to its /plan first")
        manifest = await asyncio.to_thread(lambda: Manifest(plans.unpack(packed)))
        self._kept[tenant_id, execution_id] = manifest
        while len(self._kept) > 1 and sum(len(one.tests) for one in self._kept.values()) > MOST_TESTS:
            self._kept.popitem(last=False)
        return manifest


def _fingerprint(test: TestOutcome) -> int:
    digest = blake2b(f"{test.file or ''}\0{test.title}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


MANIFESTS = web.AppKey("manifests", Manifests)
