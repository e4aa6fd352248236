"""What waits to be delivered: no whole backlog is read to count it, and a dead endpoint makes nothing old."""

from datetime import timedelta

from orchestrator.webhooks.model import DeliveryStatus, WebhookStatus
from storage import backlog as backlogs
from storage.backlog import NO_BACKLOG, Backlog, backlog
from storage.postgres import DirectConnection
from tests import registrations
from tests.registrations import NOW, PLANNINGS, registered, rows_read, told

MINUTE = timedelta(minutes=1)
ENOUGH = 2 * backlogs.MOST


async def test_what_is_due_is_counted_with_the_age_of_the_oldest(
    connection: DirectConnection, tenant: int, partition: int
) -> None:
    assert await backlog(connection, partition, NOW) == NO_BACKLOG
    hooks = [await registered(connection, tenant, courier=partition) for _ in range(2)]
    await told(connection, hooks, at=NOW - MINUTE)
    await told(connection, hooks[:1], at=NOW - 2 * MINUTE)
    await told(connection, hooks[:1], at=NOW + MINUTE)
    await told(connection, hooks[:1], at=NOW - 3 * MINUTE, status=DeliveryStatus.MISSED)
    assert await backlog(connection, partition, NOW) == Backlog(due=3, oldest_seconds=120.0)


async def test_what_is_due_later_is_not_old(connection: DirectConnection, tenant: int, partition: int) -> None:
    hook = await registered(connection, tenant, courier=partition)
    await told(connection, [hook], at=NOW + MINUTE)
    assert await backlog(connection, partition, NOW) == NO_BACKLOG


async def test_a_failing_endpoint_counts_but_makes_nothing_old(
    connection: DirectConnection, tenant: int, partition: int
) -> None:
    hook = await registered(connection, tenant, courier=partition)
    await told(connection, [hook], at=NOW - MINUTE)
    await connection.execute("UPDATE webhooks SET failing_since = $2 WHERE webhook_id = $1", hook.webhook_id, NOW)
    assert await backlog(connection, partition, NOW) == Backlog(due=1, oldest_seconds=0.0)


async def test_what_waits_for_a_paused_webhook_does_not_count(
    connection: DirectConnection, tenant: int, partition: int
) -> None:
    paused = await registered(connection, tenant, courier=partition, status=WebhookStatus.INACTIVE)
    await told(connection, [paused], at=NOW - MINUTE)
    assert await backlog(connection, partition, NOW) == NO_BACKLOG


async def test_no_more_is_read_than_is_counted(connection: DirectConnection, tenant: int, partition: int) -> None:
    hook = await registered(connection, tenant, courier=partition)
    await registrations.backlog(connection, hook, ENOUGH, DeliveryStatus.PENDING)
    async with connection.transaction():
        for _ in range(PLANNINGS):
            before = await rows_read(connection)
            found = await backlog(connection, partition, NOW + timedelta(hours=1))
            read = await rows_read(connection) - before
            assert found.due == backlogs.MOST
            assert read.deliveries <= backlogs.MOST + 1, read
