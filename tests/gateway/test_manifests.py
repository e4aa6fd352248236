"""Manifests at hand: where tests stand in a plan, and whose plans stay."""

from collections.abc import Sequence

import pytest

from gateway import manifests
from gateway.manifests import PIECE, Manifest, Manifests
from orchestrator.executions.planning import PlannedTest
from storage import plans
from storage.postgres import DirectConnection, Reader
from tests.dealt import a_manifest
from tests.ended import ended, planned, ran


def held(tests: Sequence[PlannedTest]) -> Manifest:
    return Manifest(plans.Packed(plans.pack_tests(tests)))


def test_every_test_is_found_at_its_place_and_by_its_place() -> None:
    tests = a_manifest(files=3, each=PIECE)
    manifest = held(tests)
    assert list(manifest.tests) == tests
    assert [manifest.tests[place] for place in (2 * PIECE, 1, 2 * PIECE - 1)] == [
        tests[2 * PIECE],
        tests[1],
        tests[2 * PIECE - 1],
    ]
    reported = [ran(test.title, file=test.file) for test in (tests[700], tests[0], PlannedTest("a.py", "new"))]
    assert manifest.placed(reported).places == (700, 0, -1)
    assert manifest.has("tests/test_2.py", "test_255")
    assert not manifest.has("tests/test_2.py", "test_256")


def test_a_large_manifest_takes_little() -> None:
    tests = [PlannedTest(f"packages/shop/tests/test_{n // 50}.py", f"test_works[{n}]") for n in range(20_000)]
    assert held(tests).size < 40 * len(tests)


async def test_no_tenants_plans_push_out_those_of_another(
    reader: Reader,
    connection: DirectConnection,
    tenant: int,
    other_tenant: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = await _planned(connection, tenant)
    many = [await _planned(connection, other_tenant) for _ in range(4)]
    kept = Manifests(reader)
    first = await kept.of(tenant, one)
    monkeypatch.setattr(manifests, "MOST_BYTES", 3 * first.size)
    loaded = [await kept.of(other_tenant, execution_id) for execution_id in many]
    assert await kept.of(tenant, one) is first
    assert await kept.of(other_tenant, many[-1]) is loaded[-1]
    assert await kept.of(other_tenant, many[-2]) is loaded[-2]
    assert await kept.of(other_tenant, many[0]) is not loaded[0]


async def _planned(connection: DirectConnection, tenant: int) -> str:
    """An execution with a plan of one test."""
    execution_id = await ended(connection, tenant, [ran("one")])
    await planned(connection, execution_id, [ran("one")])
    return execution_id
