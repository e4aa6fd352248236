"""What is made ahead of need, and what is forgotten when it is old."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.errors import NotFound
from orchestrator.webhooks.model import DeliveryStatus
from storage import deliveries, delivery_log, retention, webhooks
from storage.delivery_log import DeliveryFilter
from storage.postgres import DirectConnection
from tests.ended import ago, digest_all, ended, ran
from tests.patience import eventually
from tests.registrations import NOW, attempt, delivery, registered, told

OLD = NOW - timedelta(days=retention.DELIVERY_DAYS, seconds=1)


@pytest.fixture
async def undone(connection: DirectConnection) -> AsyncIterator[DirectConnection]:
    """A connection whose changes, tables made and dropped included, are undone after the test."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


async def test_months_are_made_ahead_and_never_twice(undone: DirectConnection) -> None:
    now = datetime(2031, 11, 30, 23, 59, tzinfo=UTC)
    for _ in range(2):
        await retention.maintain(undone, now, keep_months=0)
    made = [name for name in await retention.months(undone) if name.startswith(("tests_2031", "tests_2032"))]
    assert made == ["tests_2031_10", "tests_2031_11", "tests_2031_12", "tests_2032_01", "tests_2032_02"]


async def test_only_months_past_keeping_are_dropped(undone: DirectConnection) -> None:
    await retention.maintain(undone, datetime(2030, 1, 15, tzinfo=UTC), keep_months=0)
    await retention.maintain(undone, datetime(2030, 4, 15, tzinfo=UTC), keep_months=2)
    names = await retention.months(undone)
    assert names[0] == "tests_2030_02"
    assert "tests_2029_12" not in names


async def test_nothing_is_dropped_unless_asked(undone: DirectConnection) -> None:
    await retention.maintain(undone, datetime(2030, 1, 15, tzinfo=UTC), keep_months=0)
    await retention.maintain(undone, datetime(2040, 1, 15, tzinfo=UTC), keep_months=0)
    assert "tests_2030_01" in await retention.months(undone)


async def test_old_receipts_are_forgotten(undone: DirectConnection, tenant: int) -> None:
    await undone.execute(
        "INSERT INTO receipts (command_id, tenant_id, execution_id, fingerprint, receipt, recorded_at)"
        " VALUES ('old', $1, 'x', '', '{}', '2026-11-01Z'), ('new', $1, 'x', '', '{}', '2026-11-20Z')",
        tenant,
    )
    await retention.maintain(undone, datetime(2026, 11, 21, tzinfo=UTC), keep_months=0)
    rows = await undone.fetch("SELECT command_id FROM receipts WHERE tenant_id = $1", tenant)
    assert [row["command_id"] for row in rows] == ["new"]


async def messages(connection: DirectConnection, tenant: int) -> int:
    kept: int = await connection.fetchval("SELECT count(*) FROM webhook_messages WHERE tenant_id = $1", tenant)
    return kept


async def test_deliveries_are_forgotten_when_they_ended_long_ago(undone: DirectConnection, tenant: int) -> None:
    hook = await registered(undone, tenant)
    [forgotten], [tried_later], [missed], [pending] = [
        await told(undone, [hook], at=OLD, status=status)
        for status in (DeliveryStatus.PENDING, DeliveryStatus.PENDING, DeliveryStatus.MISSED, DeliveryStatus.PENDING)
    ]
    await deliveries.record(undone, [attempt(hook, forgotten, at=OLD), attempt(hook, tried_later, at=NOW)])

    await retention.forget_deliveries(undone, NOW)

    for gone in (forgotten, missed):
        with pytest.raises(NotFound):
            await delivery_log.get(undone, gone)
    kept, _ = await delivery_log.page(undone, DeliveryFilter(webhook_id=hook.webhook_id), after=None, limit=10)
    assert [one.delivery_id for one in kept] == [pending, tried_later]
    assert await messages(undone, tenant) == 2
    attempts = await undone.fetch("SELECT delivery_id FROM webhook_attempts WHERE tenant_id = $1", tenant)
    assert [row["delivery_id"] for row in attempts] == [tried_later]


async def test_a_message_is_kept_as_long_as_one_of_its_deliveries(undone: DirectConnection, tenant: int) -> None:
    hook, other = await registered(undone, tenant), await registered(undone, tenant)
    first, last = await told(undone, [hook, other], at=OLD)
    await deliveries.record(undone, [attempt(hook, first, at=OLD)])
    await retention.forget_deliveries(undone, NOW)
    assert (await delivery_log.get(undone, last)).body
    await deliveries.record(undone, [attempt(other, last, at=OLD)])
    await retention.forget_deliveries(undone, NOW)
    assert await messages(undone, tenant) == 0


async def test_what_was_pending_for_a_deleted_webhook_fails_and_both_are_forgotten(
    undone: DirectConnection, tenant: int
) -> None:
    hook, other = await registered(undone, tenant), await registered(undone, tenant)
    [lost], [kept] = [await told(undone, [one]) for one in (hook, other)]
    await webhooks.delete(undone, hook.webhook_id, now=NOW)

    await retention.forget_deliveries(undone, NOW)
    ended = await delivery(undone, lost)
    assert (ended.status, ended.ended_at, ended.last_error) == (DeliveryStatus.FAILED, NOW, "The webhook was deleted")
    assert (await delivery(undone, kept)).status is DeliveryStatus.PENDING

    await retention.forget_deliveries(undone, NOW + timedelta(days=retention.DELIVERY_DAYS, seconds=1))
    left = await undone.fetch("SELECT webhook_id FROM webhooks WHERE tenant_id = $1", tenant)
    assert [row["webhook_id"] for row in left] == [other.webhook_id]
    assert await messages(undone, tenant) == 1


async def test_all_is_forgotten_however_many_batches_it_takes(
    undone: DirectConnection, tenant: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_DELIVERIES", 2)
    hook, deleted = await registered(undone, tenant), await registered(undone, tenant)
    for _ in range(4):
        await told(undone, [hook], at=OLD, status=DeliveryStatus.MISSED)
        await told(undone, [deleted])
    await webhooks.delete(undone, deleted.webhook_id, now=NOW)
    await retention.forget_deliveries(undone, NOW)
    statuses = await undone.fetch("SELECT status FROM webhook_deliveries WHERE tenant_id = $1", tenant)
    assert [row["status"] for row in statuses] == ["failed"] * 4


async def test_a_delivery_queued_again_while_the_old_are_forgotten_stays(
    connection: DirectConnection, second: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook], at=OLD, status=DeliveryStatus.MISSED)

    async def is_waiting() -> bool:
        blocked: bool = await second.fetchval(
            "SELECT cardinality(pg_blocking_pids($1)) > 0", connection.get_server_pid()
        )
        return blocked

    async with asyncio.TaskGroup() as tasks, second.transaction():
        await delivery_log.requeue(second, delivery_id, NOW)
        tasks.create_task(retention.forget_deliveries(connection, NOW))
        await eventually(is_waiting)

    assert (await delivery(connection, delivery_id)).status is DeliveryStatus.PENDING


async def rows(connection: DirectConnection, tenant: int) -> dict[str, int]:
    """How many rows of history a tenant has."""
    tables = ("test_runs", "known_tests", "test_records", "digested_executions", "suite_branches")
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", tenant)  # noqa: S608 - the test's own words
        for table in tables
    }


async def test_history_is_forgotten_after_its_months(undone: DirectConnection, tenant: int) -> None:
    await ended(undone, tenant, [ran("one")], [ran("two")], branch="old")
    await digest_all(undone)
    now = datetime.now(UTC)
    await retention.forget_history(undone, now)
    assert (await rows(undone, tenant))["test_records"] == 2

    later = now + timedelta(days=31 * (retention.HISTORY_MONTHS + 1))
    await retention.maintain(undone, later, keep_months=0)
    await retention.forget_history(undone, later)
    assert set((await rows(undone, tenant)).values()) == {0}


async def test_what_estimates_are_made_from_is_forgotten_with_branches_that_rest(
    undone: DirectConnection, tenant: int
) -> None:
    await ended(undone, tenant, [ran("one")], branch="resting", at=ago(60))
    await ended(undone, tenant, [ran("one")], branch="busy")
    await digest_all(undone)
    await retention.forget_history(undone, ago(30) + timedelta(days=retention.RECORD_DAYS))
    assert await rows(undone, tenant) == {
        "test_runs": 2,
        "known_tests": 1,
        "test_records": 1,
        "digested_executions": 2,
        "suite_branches": 2,
    }


async def test_months_are_made_for_what_is_still_to_be_digested(undone: DirectConnection, tenant: int) -> None:
    now = datetime.now(UTC)
    await undone.execute("DELETE FROM executions WHERE NOT digested")
    execution_id = await ended(undone, tenant, [ran("one")])
    await undone.execute(
        "UPDATE executions SET started_at = NULL, status = 'failed', reason_code = 'never_started',"
        " ended_at = now() - interval '150 days' WHERE execution_id = $1",
        execution_id,
    )
    await retention.maintain(undone, now, keep_months=0)
    assert await digest_all(undone) == [execution_id]
    assert (await rows(undone, tenant))["test_runs"] == 1
