"""What history tells of many tests at once."""

from orchestrator.executions.model import TestSuite
from orchestrator.history import model
from orchestrator.history.model import Past
from storage import history, quarantines
from storage.postgres import DirectConnection, Reader
from tests.ended import ago, digest_all, ended, quarantined, ran

ONE, TWO, THREE = (model.test_id("tests/a.py", title) for title in ("one", "two", "three"))
REGRESSION = TestSuite.REGRESSION


async def test_what_is_known_comes_from_the_first_branch_that_ran_a_test(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("one", duration=100), ran("two", "failed", duration=200)], at=ago(3))
    await ended(connection, tenant, [ran("one", duration=150), ran("three", "skipped")], at=ago(2))
    await ended(connection, tenant, [ran("one", "failed", duration=7)], branch="feature", at=ago(1))
    await digest_all(connection)
    async with reader.tenant(tenant) as view:
        assert await history.past(view, REGRESSION, ["feature", "main"], [ONE, TWO, THREE]) == {
            ONE: Past((7,), last_failed=True),
            TWO: Past((200,), last_failed=True),
        }
        assert await history.past(view, REGRESSION, ["main"], [ONE]) == {ONE: Past((150, 100), last_failed=False)}
        assert await history.past(view, TestSuite.SMOKE, ["main"], [ONE]) == {}
        assert await history.past(view, REGRESSION, [], [ONE]) == {}
        assert await history.past(view, REGRESSION, ["main"], []) == {}


async def test_a_branch_that_does_not_know_how_long_a_test_takes_asks_the_next(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("one", duration=100)], at=ago(2))
    await ended(connection, tenant, [ran("one", "failed", duration=None)], branch="feature", at=ago(1))
    await digest_all(connection)
    async with reader.tenant(tenant) as view:
        assert await history.past(view, REGRESSION, ["feature", "main"], [ONE]) == {
            ONE: Past((100,), last_failed=True),
        }


async def test_executions_without_a_branch_have_the_empty_one(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("one", duration=None)], branch=None)
    await digest_all(connection)
    async with reader.tenant(tenant) as view:
        assert await history.past(view, REGRESSION, ["", "main"], [ONE]) == {ONE: Past((), last_failed=False)}


async def test_a_tenant_knows_its_own_past_and_quarantine_only(
    reader: Reader, connection: DirectConnection, tenant: int, other_tenant: int
) -> None:
    await ended(connection, tenant, [ran("one")])
    await digest_all(connection)
    async with reader.tenant(tenant, write=True) as view:
        await quarantined(view, tenant, ONE)
    async with reader.tenant(other_tenant) as view:
        assert await history.past(view, REGRESSION, ["main"], [ONE]) == {}
        assert await history.quarantined(view, [ONE]) == set()


async def test_tests_are_in_quarantine_until_it_expires_or_is_removed(
    reader: Reader, connection: DirectConnection, tenant: int
) -> None:
    await ended(connection, tenant, [ran("one"), ran("two"), ran("three")])
    await digest_all(connection)
    async with reader.tenant(tenant, write=True) as view:
        await quarantined(view, tenant, ONE)
        await quarantined(view, tenant, TWO, at=ago(9), expires_at=ago(1))
        await quarantined(view, tenant, THREE)
        await quarantines.remove(view, THREE, ago(0))
        assert await history.quarantined(view, [ONE, TWO, THREE, "test_unknown"]) == {ONE}
