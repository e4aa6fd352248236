"""What an execution is compared with, and what is known of it."""

from typing import Any

import pytest

from orchestrator.executions.model import ExecutionStatus, TestSuite
from orchestrator.history.gate import FORMER_EXECUTIONS, Evidence
from storage import executions, gate
from storage.gate import Baseline
from storage.postgres import DirectConnection, Reader
from tests.ended import ago, digest_all, ended, planned, ran


async def compared(
    reader: Reader, tenant: int, execution_id: str, branch: str | None = None
) -> tuple[Baseline, Evidence]:
    async with reader.tenant(tenant) as view:
        execution = (await executions.load(view, [execution_id]))[execution_id]
        baseline = await gate.baseline(view, execution, branch)
        return baseline, await gate.evidence(view, execution, baseline)


async def compared_with(reader: Reader, tenant: int, execution_id: str, branch: str | None = None) -> tuple[str, int]:
    """The branch, and how many executions of it."""
    baseline, _ = await compared(reader, tenant, execution_id, branch)
    return baseline.branch, len(baseline.executions)


@pytest.mark.parametrize(
    ("former", "own", "expected"),
    [
        (["main", "feature"], "feature", "main"),
        (["develop", "master", "feature"], "feature", "master"),
        (["feature"], "feature", "feature"),
        (["other"], "feature", None),
        (["main", "develop"], "develop", "develop"),
        (["main", None], None, ""),
        (["main"], None, None),
    ],
)
async def test_the_main_branch_is_compared_with_or_else_its_own(
    reader: Reader, connection: DirectConnection, tenant: int, former: list[str], own: str | None, expected: str | None
) -> None:
    for branch in former:
        await ended(connection, tenant, [ran("one")], branch=branch, at=ago(5))
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one")], branch=own)
    found = await compared_with(reader, tenant, execution_id)
    assert found == ((own or "", 0) if expected is None else (expected, 1))
    assert await compared_with(reader, tenant, execution_id, "other") == ("other", former.count("other"))


@pytest.mark.parametrize(("own", "expected"), [("feature", "release"), ("release", "release"), ("main", "release")])
async def test_an_execution_may_say_which_branch_is_the_main_one(
    reader: Reader, connection: DirectConnection, tenant: int, own: str, expected: str
) -> None:
    for branch in ("main", "release"):
        await ended(connection, tenant, [ran("one")], branch=branch, at=ago(5))
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one")], branch=own)
    await connection.execute(
        "UPDATE executions SET metadata = $2 WHERE execution_id = $1",
        *(execution_id, f'{{"branch":"{own}","defaultBranch":"release"}}'),
    )
    assert await compared_with(reader, tenant, execution_id) == (expected, 1)


async def test_former_executions_are_the_latest_that_ended_before_and_were_not_cancelled(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    before = [await ended(connection, tenant, [ran("one")], at=ago(90 - n)) for n in range(FORMER_EXECUTIONS + 2)]
    await ended(connection, tenant, [ran("one")], at=ago(60), status=ExecutionStatus.CANCELLED)
    await ended(connection, tenant, [ran("one")], at=ago(60), suite=TestSuite.UI)
    execution_id = await ended(connection, tenant, [ran("one")], at=ago(50))
    await ended(connection, tenant, [ran("one")], at=ago(40))
    await digest_all(connection)
    baseline, _ = await compared(reader, tenant, execution_id)
    assert [one.execution_id for one in baseline.executions] == before[:1:-1]


async def test_a_rerun_is_no_measure_for_others(reader: Reader, connection: DirectConnection, tenant: int) -> None:
    whole = await ended(connection, tenant, [ran("one", "failed"), ran("two")], at=ago(5), duration_ms=5000)
    again = await ended(connection, tenant, [ran("one", "failed")], at=ago(4), duration_ms=10)
    await planned(connection, again, [ran("one")], rerun_of=whole)
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one")])
    baseline, known = await compared(reader, tenant, execution_id)
    assert [one.execution_id for one in baseline.executions] == [whole]
    assert known.former_durations_ms == [5000]
    assert [test.title for test in known.missing or ()] == ["two"]
    _, of_rerun = await compared(reader, tenant, again)
    assert of_rerun.missing is None


async def test_durations_and_missing_tests_are_those_of_completed_executions(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("one"), ran("two")], at=ago(5), duration_ms=5000)
    broken: dict[str, Any] = {"status": ExecutionStatus.FAILED, "duration_ms": 9}
    await ended(connection, tenant, [ran("one", "failed"), ran("three")], at=ago(4), **broken)
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one", "failed")], [ran("four", retries=1)], duration_ms=7000)
    _, known = await compared(reader, tenant, execution_id)
    assert (known.duration_ms, known.former_durations_ms) == (7000, [5000])
    assert known.missing is not None
    assert [test.title for test in known.missing] == ["two"]
    assert [test.title for test in known.flaky] == ["four"]
    assert (known.tests, known.incomplete) == (2, [])
    assert known.failed_before == {test.test_id for test in known.failed}


async def test_without_former_executions_nothing_is_missing_and_no_failure_was_there_before(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    status = ExecutionStatus.FAILED
    execution_id = await ended(connection, tenant, [ran("one", "failed"), ran("one")], status=status)
    _, known = await compared(reader, tenant, execution_id)
    assert (known.missing, known.former_durations_ms, known.failed_before) == (None, [], frozenset())
    assert (known.tests, len(known.failed), known.failed_unlisted) == (1, 1, 0)
    assert known.incomplete == ["execution: reported"]
