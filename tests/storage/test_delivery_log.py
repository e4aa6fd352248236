"""The log of deliveries, and sending again what did not arrive."""

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.errors import NotFound
from orchestrator.webhooks.model import DeliveryStatus, Webhook, WebhookStatus
from storage import deliveries, delivery_log, webhooks
from storage.delivery_log import DeliveryFilter
from storage.postgres import DirectConnection, Reader
from storage.webhooks import Change
from tests.registrations import EVENT, NOW, PLANNINGS, Read, attempt, backlog, delivery, registered, rows_read, told

LATER = NOW + timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def listed(connection: DirectConnection, **wanted: Any) -> list[str]:
    """The ids of all deliveries that a filter lets pass, read in pages of two."""
    found, position = await delivery_log.page(connection, DeliveryFilter(**wanted), after=None, limit=2)
    while position is not None:
        more, position = await delivery_log.page(connection, DeliveryFilter(**wanted), after=position, limit=2)
        assert len(found) % 2 == 0
        found += more
    return [one.delivery_id for one in found]


async def ended(connection: DirectConnection, hook: Webhook, code: int, **message: Any) -> str:
    """A delivery that was tried once."""
    [delivery_id] = await told(connection, [hook], **message)
    at = message.get("at", NOW)
    await deliveries.record(connection, [attempt(hook, delivery_id, was_due_at=at, at=at, status_code=code)])
    return delivery_id


async def test_the_newest_come_first_and_no_page_repeats_or_misses_one(
    connection: DirectConnection, tenant: int
) -> None:
    hook, other = await registered(connection, tenant), await registered(connection, tenant)
    written = []
    for number in range(7):
        mine, _ = await told(connection, [hook, other], at=NOW + number // 3 * SECOND)
        written.append(mine)

    assert await listed(connection, webhook_id=hook.webhook_id) == written[::-1]


async def test_the_log_is_filtered(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    execution_id = f"exec_{tenant}"
    pending, *_ = await told(connection, [hook], at=NOW, execution_id=execution_id)
    failed = await ended(connection, hook, 500, at=NOW + SECOND, event="execution.failed", execution_id=execution_id)
    delivered = await ended(connection, hook, 200, at=NOW + 2 * SECOND)
    missed, *_ = await told(connection, [hook], at=NOW + 3 * SECOND, status=DeliveryStatus.MISSED)

    async def of_hook(**wanted: Any) -> list[str]:
        return await listed(connection, webhook_id=hook.webhook_id, **wanted)

    assert [await of_hook(status=status) for status in DeliveryStatus] == [[pending], [delivered], [failed], [missed]]
    assert await of_hook(event="execution.failed") == [failed]
    assert await of_hook(execution_id=execution_id) == [failed, pending]
    assert await of_hook(since=NOW + SECOND) == [missed, delivered, failed]
    assert await of_hook(until=NOW + SECOND) == [pending]
    assert await of_hook(since=NOW + SECOND, until=NOW + 3 * SECOND, status=DeliveryStatus.FAILED) == [failed]
    assert await of_hook(execution_id=execution_id, event=EVENT, status=DeliveryStatus.FAILED) == []


async def test_an_execution_lists_its_deliveries_to_all_webhooks(connection: DirectConnection, tenant: int) -> None:
    hooks = [await registered(connection, tenant) for _ in range(2)]
    execution_id = f"exec_{tenant}"
    first = await told(connection, hooks, execution_id=execution_id)
    await told(connection, hooks, execution_id="exec_other")
    last = await told(connection, hooks, at=NOW + SECOND, execution_id=execution_id)
    await webhooks.delete(connection, hooks[0].webhook_id, now=LATER)

    assert await listed(connection, execution_id=execution_id) == [*last[::-1], *first[::-1]]


async def test_a_delivery_shows_what_is_sent_and_each_attempt(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook], execution_id="exec_1")
    failure = attempt(hook, delivery_id, 1, due_at=LATER, status_code=None, error="Timed out", duration_ms=15_000)
    success = attempt(hook, delivery_id, 2, at=LATER, status_code=202, reply="thanks")
    for one in (failure, success):
        await deliveries.record(connection, [one])

    details = await delivery_log.get(connection, delivery_id)

    assert details.body == f'{{"event":"{EVENT}"}}'
    assert details.delivery.execution_id == "exec_1"
    assert [
        (one.number, one.at, one.duration_ms, one.status_code, one.error, one.reply) for one in details.attempts
    ] == [
        (1, NOW, 15_000, None, "Timed out", ""),
        (2, LATER, 20, 202, None, "thanks"),
    ]
    with pytest.raises(NotFound):
        await delivery_log.get(connection, "dlv_unknown")


@pytest.mark.parametrize("code", [200, 500])
async def test_a_delivery_is_sent_again_as_the_same_message(
    connection: DirectConnection, reader: Reader, tenant: int, code: int
) -> None:
    hook = await registered(connection, tenant)
    delivery_id = await ended(connection, hook, code)
    before = await delivery(connection, delivery_id)

    async with reader.tenant(tenant, write=True) as mine:
        queued = await delivery_log.requeue(mine, delivery_id, LATER)

    assert (queued.status, queued.tries, queued.due_at, queued.ended_at) == (DeliveryStatus.PENDING, 0, LATER, None)
    assert (queued.message_id, queued.attempts, queued.ordinal) == (before.message_id, 1, before.ordinal)
    [row] = await deliveries.due(connection, {hook.webhook_id: 10}, LATER)
    assert (row.delivery_id, row.message_id, row.tries, row.attempts) == (delivery_id, before.message_id, 0, 1)
    await deliveries.record(connection, [attempt(hook, delivery_id, 2)])
    again = await delivery(connection, delivery_id)
    assert (again.status, again.attempts, again.tries) == (DeliveryStatus.DELIVERED, 2, 1)


async def test_a_delivery_that_waits_for_its_retry_can_be_sent_at_once(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    await deliveries.record(connection, [attempt(hook, delivery_id, due_at=LATER, status_code=500)])
    queued = await delivery_log.requeue(connection, delivery_id, NOW)
    assert (queued.status, queued.due_at, queued.tries, queued.attempts) == (DeliveryStatus.PENDING, NOW, 0, 1)


async def test_what_cannot_be_sent_again_is_not_found(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    delivery_id = await ended(connection, hook, 200)
    await webhooks.delete(connection, hook.webhook_id, now=NOW)
    for unknown in (delivery_id, "dlv_unknown"):
        with pytest.raises(NotFound):
            await delivery_log.requeue(connection, unknown, LATER)


async def test_all_that_did_not_arrive_since_a_time_is_sent_again_in_its_order(
    connection: DirectConnection, reader: Reader, tenant: int
) -> None:
    hook, other = await registered(connection, tenant), await registered(connection, tenant)
    await ended(connection, hook, 500, at=NOW - SECOND)
    first = await ended(connection, hook, 410, at=NOW)
    await ended(connection, hook, 200, at=NOW + SECOND)
    await ended(connection, other, 500, at=NOW + SECOND)
    second, *_ = await told(connection, [hook], at=NOW + 2 * SECOND, status=DeliveryStatus.MISSED)
    third = await ended(connection, hook, 500, at=NOW + 3 * SECOND)
    [waiting] = await told(connection, [hook], at=LATER + SECOND)

    async with reader.tenant(tenant, write=True) as mine:
        assert await delivery_log.recover(mine, hook.webhook_id, since=NOW, now=LATER) == 3
        assert await delivery_log.recover(mine, hook.webhook_id, since=NOW, now=LATER) == 0

    rows = await deliveries.due(connection, {hook.webhook_id: 10, other.webhook_id: 10}, LATER + SECOND)
    assert [row.delivery_id for row in rows] == [first, second, third, waiting]
    assert [(row.due_at, row.tries) for row in rows[:3]] == [(LATER, 0)] * 3


async def test_many_are_recovered_part_by_part_even_if_some_fail_again(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)
    written = [await ended(connection, hook, 500, at=NOW + n * SECOND) for n in range(5)]

    async def recovered() -> int:
        return await delivery_log.recover(connection, hook.webhook_id, since=NOW, now=LATER, limit=2)

    assert await recovered() == 2
    await deliveries.record(connection, [attempt(hook, written[0], 2, was_due_at=LATER, at=LATER, status_code=500)])
    assert [await recovered(), await recovered(), await recovered()] == [2, 1, 0]
    rows = await deliveries.due(connection, {hook.webhook_id: 10}, LATER)
    assert [row.delivery_id for row in rows] == written[1:]


async def test_a_recovery_looks_only_at_what_it_recovers(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    transaction = connection.transaction()
    await transaction.start()
    await backlog(connection, hook, 20_000, DeliveryStatus.DELIVERED)
    await connection.execute("ANALYZE webhook_deliveries")
    broken = await registered(connection, tenant)
    await backlog(connection, broken, 2000, DeliveryStatus.FAILED)

    for _ in range(PLANNINGS):
        before = await rows_read(connection)
        assert await delivery_log.recover(connection, broken.webhook_id, since=NOW, now=LATER, limit=100) == 100
        assert await rows_read(connection) - before == Read(deliveries=200), "each to find it and to change it"
    await transaction.rollback()


async def test_what_is_queued_for_a_paused_webhook_rests_until_it_is_active(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant, status=WebhookStatus.INACTIVE)
    missed, *_ = await told(connection, [hook], status=DeliveryStatus.MISSED)
    wanted = {hook.webhook_id: 10}
    assert await delivery_log.recover(connection, hook.webhook_id, since=NOW, now=LATER) == 1
    assert await deliveries.due(connection, wanted, LATER) == []
    await webhooks.update(connection, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=LATER)
    assert [row.delivery_id for row in await deliveries.due(connection, wanted, LATER)] == [missed]


@pytest.mark.contract("X-025")
async def test_another_tenant_sees_and_queues_nothing(
    connection: DirectConnection, reader: Reader, tenant: int, other_tenant: int
) -> None:
    hook = await registered(connection, tenant)
    delivery_id = await ended(connection, hook, 500, execution_id="exec_1")
    before = await delivery_log.get(connection, delivery_id)

    async with reader.tenant(other_tenant, write=True) as theirs:
        for wanted in (DeliveryFilter(webhook_id=hook.webhook_id), DeliveryFilter(execution_id="exec_1")):
            assert await delivery_log.page(theirs, wanted, after=None, limit=10) == ([], None)
        for table in ("webhook_messages", "webhook_deliveries", "webhook_attempts"):
            assert await theirs.fetch(f"SELECT * FROM {table}") == []  # noqa: S608 - the test's own words
        with pytest.raises(NotFound):
            await delivery_log.get(theirs, delivery_id)
        with pytest.raises(NotFound):
            await delivery_log.requeue(theirs, delivery_id, LATER)
        assert await delivery_log.recover(theirs, hook.webhook_id, since=NOW, now=LATER) == 0

    assert await delivery_log.get(connection, delivery_id) == before
