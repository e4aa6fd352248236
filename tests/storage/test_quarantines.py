"""Quarantine: by whose word, until when, and what ends it."""

from collections.abc import AsyncIterator

import pytest

from orchestrator.errors import NotFound
from orchestrator.history import model
from orchestrator.history.model import Ending
from storage import quarantines
from storage.postgres import Connection, DirectConnection, Reader
from storage.quarantines import Quarantine
from tests.ended import ago, digest_all, ended, quarantined, ran

ONE = model.test_id("tests/a.py", "one")


@pytest.fixture
async def view(reader: Reader, tenant: int) -> AsyncIterator[Connection]:
    """As the gateway sees the tenant, and may write."""
    async with reader.tenant(tenant, write=True) as connection:
        yield connection


async def run(connection: DirectConnection, tenant: int, *statuses: str, retries: int = 0) -> None:
    """So many executions, one a minute and the last one now, with one test."""
    for minutes, status in zip(range(len(statuses) - 1, -1, -1), statuses, strict=True):
        await ended(connection, tenant, [ran("one", status, retries=retries)], at=ago(minutes))
    await digest_all(connection)


async def states(reader: Reader, tenant: int) -> list[Quarantine]:
    async with reader.tenant(tenant) as view:
        lists = [
            (await quarantines.page(view, active=active, now=ago(0), after=None, limit=10))[0]
            for active in (True, False)
        ]
    return [one for listed in lists for one in listed]


async def isolate(reader: Reader, tenant: int, *, minutes_ago: float, exit_streak: int = 2) -> None:
    async with reader.tenant(tenant, write=True) as view:
        await quarantined(view, tenant, ONE, at=ago(minutes_ago), exit_streak=exit_streak)


async def test_other_terms_for_a_test_in_quarantine_replace_the_former(
    connection: DirectConnection, view: Connection, tenant: int
) -> None:
    await run(connection, tenant, "failed")
    first = await quarantined(view, tenant, ONE, exit_streak=3)
    last = await quarantined(view, tenant, ONE, exit_streak=9)
    assert (first.quarantine_id, first.created_at) == (last.quarantine_id, last.created_at)
    assert (last.exit_streak, last.owner, last.reason, last.title) == (9, "ann", "flaky", "one")


async def test_one_that_expired_is_over_and_the_next_is_another(
    connection: DirectConnection, reader: Reader, tenant: int
) -> None:
    await run(connection, tenant, "failed")
    async with reader.tenant(tenant, write=True) as view:
        former = await quarantined(view, tenant, ONE, at=ago(9), expires_at=ago(1))
    [expired] = await states(reader, tenant)
    assert (expired.ending, expired.ended_at) == (Ending.EXPIRED, former.expires_at)
    await isolate(reader, tenant, minutes_ago=0)
    fresh, expired = await states(reader, tenant)
    assert fresh.quarantine_id != expired.quarantine_id == former.quarantine_id
    assert (fresh.ending, expired.ending) == (None, Ending.EXPIRED)


async def test_an_unknown_test_cannot_be_put_into_quarantine(view: Connection, tenant: int) -> None:
    with pytest.raises(NotFound):
        await quarantined(view, tenant, ONE)
    with pytest.raises(NotFound):
        await quarantines.remove(view, ONE, ago(0))


async def test_passes_in_a_row_end_it(connection: DirectConnection, reader: Reader, tenant: int) -> None:
    await run(connection, tenant, "failed")
    await isolate(reader, tenant, minutes_ago=5)
    await run(connection, tenant, "passed")
    [waiting] = await states(reader, tenant)
    assert (waiting.ending, waiting.streak, waiting.outcomes) == (None, 1, "pf")
    await run(connection, tenant, "passed")
    [passed] = await states(reader, tenant)
    assert (passed.ending, passed.streak) == (Ending.PASSED, 2)


async def test_passes_from_before_it_began_do_not_count(
    connection: DirectConnection, reader: Reader, tenant: int
) -> None:
    await run(connection, tenant, "passed", "passed", "passed")
    await isolate(reader, tenant, minutes_ago=0)
    await run(connection, tenant, "passed")
    [waiting] = await states(reader, tenant)
    assert (waiting.ending, waiting.streak) == (None, 1)


@pytest.mark.parametrize("retries", [0, 1])
async def test_failures_and_flaky_passes_begin_the_row_anew(
    connection: DirectConnection, reader: Reader, tenant: int, retries: int
) -> None:
    await run(connection, tenant, "failed")
    await isolate(reader, tenant, minutes_ago=5)
    await run(connection, tenant, "passed")
    await run(connection, tenant, "passed" if retries else "failed", retries=retries)
    await run(connection, tenant, "skipped", "passed")
    [waiting] = await states(reader, tenant)
    assert (waiting.ending, waiting.streak) == (None, 1)


async def test_pages_have_each_once_newest_first(connection: DirectConnection, view: Connection, tenant: int) -> None:
    titles = [str(number) for number in range(5)]
    await ended(connection, tenant, [ran(title) for title in titles])
    await digest_all(connection)
    for title in titles:
        await quarantined(view, tenant, model.test_id("tests/a.py", title))
    found, after = [], None
    while True:
        some, after = await quarantines.page(view, active=True, now=ago(0), after=after, limit=2)
        found += [one.title for one in some]
        if after is None:
            break
    assert found == titles[::-1]
