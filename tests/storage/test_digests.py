"""What the historian writes of executions that ended: once, whatever is repeated, replaced or done at once."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from orchestrator.executions.model import Attempt, ExecutionStatus, TestDetails, TestResult, TestStatus, TestSuite
from orchestrator.history import model
from orchestrator.history.model import ESTIMATED_FROM, REMEMBERED
from storage import digests
from storage.postgres import DirectConnection
from tests.ended import EVER, ago, digest_all, ended, ran, sent_again

TABLES = ("test_runs", "known_tests", "test_records", "digested_executions", "suite_branches")


async def known(connection: DirectConnection, tenant: int) -> dict[str, Any]:
    """What is remembered of the tenant's tests, by title."""
    rows = await connection.fetch("SELECT * FROM known_tests WHERE tenant_id = $1", tenant)
    return {row["title"]: row for row in rows}


async def history(connection: DirectConnection, tenant: int) -> dict[str, list[dict[str, Any]]]:
    """All that history has of a tenant."""
    found = {}
    for table in TABLES:
        rows = await connection.fetch(f"SELECT * FROM {table} WHERE tenant_id = $1", tenant)  # noqa: S608 - ours
        found[table] = sorted((dict(row) for row in rows), key=str)
    return found


@pytest.mark.parametrize(
    ("file", "title"),
    [("tests/a.py", "works"), (None, "works"), ("", "works"), ("ä/\\x.js", "w'ö\trks\n[☃]"), ("", "")],
)
async def test_the_database_makes_the_same_ids(connection: DirectConnection, file: str | None, title: str) -> None:
    assert await connection.fetchval("SELECT stable_test_id($1, $2)", file, title) == model.test_id(file, title)


async def test_every_test_of_every_shard_gets_a_run(connection: DirectConnection, tenant: int) -> None:
    at = ago(5)
    execution_id = await ended(
        connection,
        tenant,
        [ran("one", duration=5), ran("two", "failed", error="boom\nat line 3")],
        [ran("three", retries=2), ran("four", "skipped", duration=None)],
        at=at,
    )
    await digest_all(connection)
    rows = await connection.fetch("SELECT * FROM test_runs WHERE execution_id = $1", execution_id)
    runs = {row["test_id"]: row for row in rows}
    titles = {title: runs[model.test_id("tests/a.py", title)] for title in ("one", "two", "three", "four")}
    assert {title: (row["shard"], row["status"], row["retries"]) for title, row in titles.items()} == {
        "one": (1, "passed", 0),
        "two": (1, "failed", 0),
        "three": (2, "passed", 2),
        "four": (2, "skipped", 0),
    }
    assert titles["two"]["error"] == "boom\nat line 3"
    assert {row["ended_at"] for row in rows} == {at}
    remembered = await known(connection, tenant)
    assert {title: row["outcomes"] for title, row in remembered.items()} == {
        "one": "p",
        "two": "f",
        "three": "k",
        "four": "s",
    }


async def test_errors_that_differ_in_numbers_alone_are_alike(connection: DirectConnection, tenant: int) -> None:
    tests = [
        ran(str(number), "failed", error=error)
        for number, error in enumerate(("timeout after 30 s\n  a", "timeout after 31 s\n  b", "0xff is not 1"))
    ]
    await ended(connection, tenant, tests)
    await digest_all(connection)
    rows = await connection.fetch("SELECT likeness FROM test_runs WHERE tenant_id = $1", tenant)
    assert len(rows) == 3
    assert len({row["likeness"] for row in rows}) == 2


async def test_the_attempts_of_a_test_are_kept(connection: DirectConnection, tenant: int) -> None:
    tried = TestDetails(attempts=(Attempt(TestStatus.FAILED, 7.0, "boom"),))
    await ended(connection, tenant, [TestResult("flaky", TestStatus.PASSED, retries=1, details=tried)])
    await digest_all(connection)
    attempts = await connection.fetchval("SELECT attempts FROM test_runs WHERE tenant_id = $1", tenant)
    assert attempts == '[{"status":"failed","duration":7.0,"error":"boom"}]'


async def test_a_test_reported_twice_in_one_execution_counts_once_by_its_worst_outcome(
    connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("same"), ran("same", retries=1)], [ran("same", "failed"), ran("same")])
    await ended(connection, tenant, [ran("other", "skipped"), ran("other", duration=3), ran("other", duration=4)])
    await digest_all(connection)
    remembered = await known(connection, tenant)
    assert (remembered["same"]["outcomes"], remembered["other"]["outcomes"]) == ("f", "p")
    assert remembered["other"]["durations"] == [4]


async def test_the_latest_runs_are_remembered_newest_first(connection: DirectConnection, tenant: int) -> None:
    amount = REMEMBERED + 2
    for number in range(amount):
        status = "failed" if number == amount - 1 else "passed"
        await ended(connection, tenant, [ran("one", status, duration=number)], at=ago(amount - number))
    await digest_all(connection)
    row = (await known(connection, tenant))["one"]
    assert row["durations"] == list(range(amount - 1, 1, -1))
    assert row["outcomes"] == "f" + "p" * (REMEMBERED - 1)
    assert row["failure_rate"] == pytest.approx(1 / REMEMBERED)
    assert (row["median_ms"], row["p95_ms"]) == (16, 30)
    record = await connection.fetchrow("SELECT * FROM test_records WHERE tenant_id = $1", tenant)
    assert record is not None
    assert record["durations"] == list(range(amount - 1, amount - 1 - ESTIMATED_FROM, -1))


async def test_skipped_runs_count_for_no_rate_and_no_estimate(connection: DirectConnection, tenant: int) -> None:
    for number, status in enumerate(("failed", "skipped", "skipped", "passed")):
        await ended(connection, tenant, [ran("one", status)], at=ago(9 - number))
    await digest_all(connection)
    assert (await known(connection, tenant))["one"]["failure_rate"] == 0.5
    assert await connection.fetchval("SELECT outcomes FROM test_records WHERE tenant_id = $1", tenant) == "pf"


async def test_suites_and_branches_are_told_apart_and_tests_are_not(connection: DirectConnection, tenant: int) -> None:
    await ended(connection, tenant, [ran("one")], branch="main", suite=TestSuite.API, at=ago(3))
    await ended(connection, tenant, [ran("one")], branch=None, suite=TestSuite.API, at=ago(2))
    await ended(connection, tenant, [ran("one")], branch="main", suite=TestSuite.UI, at=ago(1))
    await digest_all(connection)
    [row] = (await known(connection, tenant)).values()
    assert (sorted(row["suites"]), row["outcomes"]) == (["api", "ui"], "ppp")
    branches = await connection.fetch(
        "SELECT test_suite, branch, outcomes FROM suite_branches JOIN test_records USING (suite_branch_id)"
        " WHERE suite_branches.tenant_id = $1 ORDER BY 1, 2",
        tenant,
    )
    assert [tuple(branch) for branch in branches] == [("api", "", "p"), ("api", "main", "p"), ("ui", "main", "p")]


async def test_another_result_of_a_shard_replaces_the_former_in_history(
    connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("kept"), ran("gone")], at=ago(9))
    execution_id = await ended(connection, tenant, [ran("kept", "failed"), ran("gone")], [ran("only here")], at=ago(8))
    await ended(connection, tenant, [ran("kept", duration=20)], at=ago(7))
    await digest_all(connection)

    await sent_again(connection, execution_id, 1, [ran("kept", duration=30), ran("new")])
    await sent_again(connection, execution_id, 2, [])
    assert await digest_all(connection) == [execution_id]

    remembered = await known(connection, tenant)
    assert {title: row["outcomes"] for title, row in remembered.items()} == {"kept": "ppp", "gone": "p", "new": "p"}
    assert remembered["kept"]["durations"] == [20, 30, 10]
    assert remembered["gone"]["last_run_at"] < remembered["new"]["last_run_at"]
    rows = await connection.fetch("SELECT test_id FROM test_runs WHERE execution_id = $1", execution_id)
    assert {row["test_id"] for row in rows} == {model.test_id("tests/a.py", title) for title in ("kept", "new")}


async def test_a_digest_may_be_repeated(connection: DirectConnection, tenant: int) -> None:
    executions = [
        await ended(connection, tenant, [ran("one", duration=number), ran("two", "failed")], at=ago(9 - number))
        for number in range(3)
    ]
    await digest_all(connection)
    before = await history(connection, tenant)
    await connection.execute("UPDATE executions SET digested = false WHERE tenant_id = $1", tenant)
    assert await digest_all(connection) == executions
    assert await history(connection, tenant) == before


async def test_what_was_digested_in_a_transaction_that_failed_is_digested_again(
    connection: DirectConnection, tenant: int
) -> None:
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one")])
    await digests.register(connection)
    transaction = connection.transaction()
    await transaction.start()
    execution = await digests.claim(connection, [])
    assert execution is not None
    await digests.digest(connection, execution, oldest=EVER, now=ago(0))
    await transaction.rollback()
    assert await known(connection, tenant) == {}
    assert await digest_all(connection) == [execution_id]
    assert (await known(connection, tenant))["one"]["outcomes"] == "p"


async def test_a_change_committed_during_a_digest_is_digested_too(
    connection: DirectConnection, second: DirectConnection, tenant: int
) -> None:
    await digest_all(connection)
    execution_id = await ended(connection, tenant, [ran("one", "failed")])
    await digests.register(connection)
    async with connection.transaction():
        execution = await digests.claim(connection, [])
        assert execution is not None
        await sent_again(second, execution_id, 1, [ran("one")])
        await digests.digest(connection, execution, oldest=EVER, now=ago(0))
    assert await digest_all(connection) == [execution_id]
    assert (await known(connection, tenant))["one"]["outcomes"] == "p"


async def test_historians_at_work_at_once_digest_each_execution_once(
    connection: DirectConnection, second: DirectConnection, tenant: int, other_tenant: int
) -> None:
    executions = [
        await ended(connection, whose, [ran(str(one)) for one in range(20)], at=ago(20 - number))
        for number in range(12)
        for whose in (tenant, other_tenant)
    ]
    first, last = await asyncio.gather(digest_all(connection), digest_all(second))
    assert sorted({*first, *last} & {*executions}) == sorted(executions)
    assert len({*first, *last}) == len(first) + len(last)
    for whose in (tenant, other_tenant):
        assert {row["outcomes"] for row in (await known(connection, whose)).values()} == {"p" * 12}


async def test_cancelled_executions_count_with_what_they_brought(connection: DirectConnection, tenant: int) -> None:
    await ended(connection, tenant, [ran("one")], [], status=ExecutionStatus.CANCELLED)
    await digest_all(connection)
    assert list(await known(connection, tenant)) == ["one"]


async def test_what_is_too_old_for_history_is_marked_and_left_out(connection: DirectConnection, tenant: int) -> None:
    await digest_all(connection)
    await ended(connection, tenant, [ran("one")], at=ago(60))
    await digests.register(connection)
    async with connection.transaction():
        execution = await digests.claim(connection, [])
        assert execution is not None
        await digests.digest(connection, execution, oldest=ago(1), now=ago(0))
    assert await digest_all(connection) == []
    assert await known(connection, tenant) == {}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(durations=some.lists(some.floats(0, 1e300) | some.none(), min_size=1, max_size=5))
async def test_any_duration_can_be_remembered(
    connection: DirectConnection, tenant: int, durations: list[float | None]
) -> None:
    tests = [ran(str(number), duration=one) for number, one in enumerate(durations)]
    assert await ended(connection, tenant, tests) in await digest_all(connection)
