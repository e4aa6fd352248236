"""Messages and deliveries as owners write them, and as couriers take, record and end them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import msgspec
import pytest

from orchestrator import ids
from orchestrator.errors import StaleOwner
from orchestrator.webhooks import messages
from orchestrator.webhooks.model import (
    DeliveryStatus,
    DisabledReason,
    RetryPolicy,
    Webhook,
    WebhookEvent,
    WebhookStatus,
)
from storage import deliveries, delivery_log, webhooks
from storage.deliveries import DeliveryRow, Due, Endpoint, MessageRow
from storage.delivery_log import DeliveryFilter
from storage.postgres import DirectConnection, Reader
from storage.webhooks import Change
from tests.registrations import (
    EVENT,
    NOW,
    PLANNINGS,
    Read,
    attempt,
    backlog,
    delivery,
    registered,
    rows_read,
    told,
    webhook,
)

LATER = NOW + timedelta(hours=1)
SECOND = timedelta(seconds=1)
DISABLED = WebhookEvent.WEBHOOK_DISABLED
BACKLOG = 20_000


@pytest.fixture
async def undone(connection: DirectConnection) -> AsyncIterator[DirectConnection]:
    """A connection whose changes are undone after the test, so that nobody's statistics learn of them."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


def ids_of(rows: list[Due]) -> list[str]:
    return [row.delivery_id for row in rows]


async def test_what_is_due_comes_with_all_that_is_sent(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook], execution_id="exec_1")
    stored = await delivery(connection, delivery_id)

    [row] = await deliveries.due(connection, {hook.webhook_id: 10}, NOW)

    assert row == Due(
        delivery_id=delivery_id,
        webhook_id=hook.webhook_id,
        message_id=stored.message_id,
        ordinal=stored.ordinal,
        event=EVENT,
        body=f'{{"event":"{EVENT}"}}',
        tries=0,
        attempts=0,
        due_at=NOW,
    )


async def test_deliveries_are_taken_in_the_order_of_time_then_of_writing(
    connection: DirectConnection, tenant: int
) -> None:
    one, two = await registered(connection, tenant), await registered(connection, tenant)
    late = await told(connection, [one, two], at=NOW + SECOND)
    early = [await told(connection, [one, two], at=NOW) for _ in range(3)]

    rows = await deliveries.due(connection, {one.webhook_id: 10, two.webhook_id: 2}, LATER)

    of_one = [row.delivery_id for row in rows if row.webhook_id == one.webhook_id]
    of_two = [row.delivery_id for row in rows if row.webhook_id == two.webhook_id]
    assert of_one == [*(pair[0] for pair in early), late[0]]
    assert of_two == [early[0][1], early[1][1]]
    assert rows == sorted(rows, key=lambda row: (row.due_at, row.ordinal))


async def test_what_is_not_due_yet_or_held_is_left_out(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [first], [second], [third] = [await told(connection, [hook], at=NOW + n * SECOND) for n in range(3)]

    async def taken(most: int, *held: str) -> list[str]:
        return ids_of(await deliveries.due(connection, {hook.webhook_id: most}, NOW + SECOND, held=held))

    assert await taken(10) == [first, second]
    assert await taken(1, first) == [second]
    assert await taken(10, first, second, third) == []


@pytest.mark.parametrize("ended", ["missed", "failed", "delivered"])
async def test_what_has_ended_is_never_due(connection: DirectConnection, tenant: int, ended: str) -> None:
    hook = await registered(connection, tenant)
    await backlog(connection, hook, 1, DeliveryStatus(ended))
    assert await deliveries.due(connection, {hook.webhook_id: 10}, LATER) == []


async def test_a_webhook_that_is_not_active_has_nothing_due_and_keeps_it(
    connection: DirectConnection, tenant: int
) -> None:
    paused, deleted = await registered(connection, tenant), await registered(connection, tenant)
    [kept], _ = [await told(connection, [hook]) for hook in (paused, deleted)]
    wanted = {paused.webhook_id: 10, deleted.webhook_id: 10, "wh_unknown": 10}

    await webhooks.update(connection, paused.webhook_id, Change(status=WebhookStatus.INACTIVE), now=NOW)
    await webhooks.delete(connection, deleted.webhook_id, now=NOW)
    assert await deliveries.due(connection, wanted, LATER) == []

    await webhooks.update(connection, paused.webhook_id, Change(status=WebhookStatus.ACTIVE), now=NOW)
    assert ids_of(await deliveries.due(connection, wanted, LATER)) == [kept]


async def test_retries_are_found_by_themselves(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [first], [second], [third] = [await told(connection, [hook]) for _ in range(3)]
    failed = [attempt(hook, second, due_at=LATER, status_code=500), attempt(hook, third, due_at=NOW, status_code=500)]
    await deliveries.record(connection, failed)

    async def retries(*held: str) -> list[str]:
        rows = await deliveries.due(connection, {hook.webhook_id: 10}, LATER, held=held, retries_only=True)
        assert all((row.tries, row.attempts) == (1, 1) for row in rows)
        return ids_of(rows)

    assert await retries() == [third, second]
    assert await retries(third) == [second]
    assert ids_of(await deliveries.due(connection, {hook.webhook_id: 10}, NOW)) == [first, third]


async def test_the_next_time_that_something_is_due(connection: DirectConnection, tenant: int) -> None:
    busy, idle = await registered(connection, tenant), await registered(connection, tenant)
    for seconds in (0, 5, 9):
        await told(connection, [busy], at=NOW + seconds * SECOND)
    both = [busy.webhook_id, idle.webhook_id]

    assert await deliveries.next_due(connection, both, NOW - SECOND) == {busy.webhook_id: NOW}
    assert await deliveries.next_due(connection, both, NOW) == {busy.webhook_id: NOW + 5 * SECOND}
    assert await deliveries.next_due(connection, both, LATER) == {}


@pytest.mark.parametrize("statistics", ["none", "fresh"])
async def test_a_backlog_is_not_looked_at(undone: DirectConnection, tenant: int, statistics: str) -> None:
    dead, healthy = [await registered(undone, tenant) for _ in range(10)], await registered(undone, tenant)
    for hook in dead:
        await backlog(undone, hook, BACKLOG // len(dead), DeliveryStatus.PENDING)
    fresh = [(await told(undone, [healthy], at=NOW + n * SECOND))[0] for n in range(20)]
    retried = [
        attempt(healthy, one, was_due_at=NOW + n * SECOND, due_at=NOW, status_code=500)
        for n, one in enumerate(fresh[:2])
    ]
    await deliveries.record(undone, retried)
    if statistics == "fresh":
        await undone.execute("ANALYZE webhook_deliveries, webhook_messages")
    wanted = {hook.webhook_id: 8 for hook in (*dead, healthy)}

    for _ in range(PLANNINGS):
        before = await rows_read(undone)
        due = await deliveries.due(undone, wanted, LATER)
        assert len(due) == 8 * len(wanted)
        assert await rows_read(undone) - before == Read(deliveries=len(due), messages=len(due))

        before = await rows_read(undone)
        more = await deliveries.due(undone, wanted, LATER, held=ids_of(due))
        assert await rows_read(undone) - before == Read(deliveries=len(due) + len(more), messages=len(more))

        before = await rows_read(undone)
        assert ids_of(await deliveries.due(undone, wanted, LATER, retries_only=True)) == fresh[:2]
        assert await rows_read(undone) - before == Read(deliveries=2, messages=2)

        before = await rows_read(undone)
        assert len(await deliveries.next_due(undone, list(wanted), NOW)) == len(wanted)
        assert await rows_read(undone) - before == Read(deliveries=len(wanted))


async def test_only_the_rows_recorded_are_looked_at(undone: DirectConnection, tenant: int) -> None:
    hook = await registered(undone, tenant)
    await backlog(undone, hook, BACKLOG, DeliveryStatus.PENDING)
    soon = NOW + timedelta(milliseconds=BACKLOG)

    for _ in range(PLANNINGS):
        due = await deliveries.due(undone, {hook.webhook_id: 100}, soon)
        attempts = [attempt(hook, row.delivery_id, was_due_at=row.due_at, due_at=LATER, status_code=500) for row in due]
        before = await rows_read(undone)
        await deliveries.record(undone, attempts)
        assert await rows_read(undone) - before == Read(deliveries=100)


async def test_a_success_ends_a_delivery(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])

    await deliveries.record(connection, [attempt(hook, delivery_id, at=NOW, duration_ms=250, status_code=204)])

    ended = await delivery(connection, delivery_id)
    assert (ended.status, ended.due_at) == (DeliveryStatus.DELIVERED, None)
    assert ended.ended_at == NOW + timedelta(milliseconds=250)
    assert (ended.attempts, ended.tries, ended.last_status_code, ended.last_error) == (1, 1, 204, None)


async def test_a_failure_is_tried_again_until_it_is_given_up(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])

    await deliveries.record(connection, [attempt(hook, delivery_id, 1, due_at=LATER, status_code=503)])
    waiting = await delivery(connection, delivery_id)
    assert (waiting.status, waiting.due_at, waiting.ended_at) == (DeliveryStatus.PENDING, LATER, None)
    assert (waiting.attempts, waiting.tries, waiting.last_status_code) == (1, 1, 503)

    last = attempt(hook, delivery_id, 2, was_due_at=LATER, status_code=None, error="The connection broke")
    await deliveries.record(connection, [last])
    given_up = await delivery(connection, delivery_id)
    assert (given_up.status, given_up.due_at, given_up.attempts) == (DeliveryStatus.FAILED, None, 2)
    assert (given_up.last_status_code, given_up.last_error) == (None, "The connection broke")


async def test_several_attempts_of_a_delivery_may_be_recorded_at_once(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    failures = [attempt(hook, delivery_id, number, due_at=LATER, status_code=500) for number in (1, 2)]

    await deliveries.record(connection, [*failures, attempt(hook, delivery_id, 3)])

    ended = await delivery(connection, delivery_id)
    assert (ended.status, ended.attempts, ended.tries) == (DeliveryStatus.DELIVERED, 3, 3)
    logged = await delivery_log.get(connection, delivery_id)
    assert [(one.number, one.status_code) for one in logged.attempts] == [(1, 500), (2, 500), (3, 200)]


async def test_recording_the_same_again_changes_nothing(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivered], [queued_again] = [await told(connection, [hook]) for _ in range(2)]
    attempts = [attempt(hook, delivered, reply="ok"), attempt(hook, queued_again, reply="ok")]
    await deliveries.record(connection, attempts)
    await delivery_log.requeue(connection, queued_again, LATER)
    before = [await delivery_log.get(connection, one) for one in (delivered, queued_again)]

    await deliveries.record(connection, attempts)

    assert [await delivery_log.get(connection, one) for one in (delivered, queued_again)] == before
    assert before[1].delivery.status is DeliveryStatus.PENDING


@pytest.mark.parametrize("retry_at", [None, LATER + SECOND])
async def test_a_delivery_queued_again_during_an_attempt_is_sent_again_unless_it_succeeds(
    connection: DirectConnection, tenant: int, retry_at: datetime | None
) -> None:
    hook = await registered(connection, tenant)
    first, tried, taken = [(await told(connection, [hook]))[0] for _ in range(3)]
    await deliveries.record(connection, [attempt(hook, tried, due_at=NOW + SECOND, status_code=500)])
    for one in (first, tried, taken):
        await delivery_log.requeue(connection, one, LATER)

    ended = [
        attempt(hook, first, due_at=retry_at, status_code=500),
        attempt(hook, tried, 2, was_due_at=NOW + SECOND, due_at=retry_at, status_code=502),
        attempt(hook, taken),
    ]
    await deliveries.record(connection, ended)

    for one, attempts, code in ((first, 1, 500), (tried, 2, 502)):
        waiting = await delivery(connection, one)
        assert (waiting.status, waiting.due_at, waiting.ended_at) == (DeliveryStatus.PENDING, LATER, None)
        assert (waiting.attempts, waiting.tries, waiting.last_status_code) == (attempts, 0, code)
    assert (await delivery(connection, taken)).status is DeliveryStatus.DELIVERED


async def test_a_delivery_that_ended_meanwhile_stays_so_and_keeps_the_attempt(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    await connection.execute(
        "UPDATE webhook_deliveries SET status = 'failed', due_at = NULL, ended_at = $2 WHERE delivery_id = $1",
        *(delivery_id, NOW),
    )
    before = await delivery(connection, delivery_id)

    await deliveries.record(connection, [attempt(hook, delivery_id, due_at=LATER, status_code=500)])

    assert await delivery(connection, delivery_id) == before
    assert len((await delivery_log.get(connection, delivery_id)).attempts) == 1


async def test_an_answer_is_kept_but_for_its_nul_characters(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    ours = [
        attempt(hook, delivery_id, 1, due_at=NOW, status_code=500, reply='{"a":\t"\\ü\0\U0001f600"}\r\n'),
        attempt(hook, delivery_id, 2, status_code=None, error="no\0ne"),
    ]

    await deliveries.record(connection, ours)

    first, last = (await delivery_log.get(connection, delivery_id)).attempts
    assert msgspec.structs.astuple(first) == (1, NOW, 20, 500, None, '{"a":\t"\\ü\ufffd\U0001f600"}\r\n')
    assert (last.error, last.reply) == ("no\ufffdne", "")
    assert (await delivery(connection, delivery_id)).last_error == "no\ufffdne"


async def test_a_webhook_is_failing_from_the_first_failure_to_the_next_success(
    connection: DirectConnection, tenant: int
) -> None:
    hook = await registered(connection, tenant)

    async def recorded(start: int, *codes: int) -> object:
        """Since when it is failing after these answers, a second between each and the next."""
        attempts = []
        for second, code in enumerate(codes, start):
            [delivery_id] = await told(connection, [hook])
            attempts.append(attempt(hook, delivery_id, at=NOW + second * SECOND, status_code=code))
        await deliveries.record(connection, attempts)
        return (await webhooks.get(connection, hook.webhook_id)).failing_since

    assert await recorded(0, 200) is None
    assert await recorded(10, 200, 500, 302) == NOW + 11 * SECOND
    assert await recorded(20, 404) == NOW + 11 * SECOND
    assert await recorded(30, 500, 200, 500) == NOW + 32 * SECOND
    assert await recorded(40, 500, 204) is None


async def test_a_webhook_that_goes_on_as_before_is_not_written(connection: DirectConnection, tenant: int) -> None:
    works, fails = await registered(connection, tenant), await registered(connection, tenant)

    async def versions() -> list[asyncpg.Record]:
        attempts = []
        for hook, code in ((works, 200), (fails, 500)):
            [delivery_id] = await told(connection, [hook])
            attempts.append(attempt(hook, delivery_id, status_code=code))
        await deliveries.record(connection, attempts)
        return await connection.fetch("SELECT xmin::text FROM webhooks WHERE tenant_id = $1 ORDER BY 1", tenant)

    assert await versions() == await versions()


async def test_a_courier_that_was_replaced_writes_nothing(connection: DirectConnection, partition: int) -> None:
    epoch = await deliveries.claim(connection, partition)
    async with connection.transaction():
        await deliveries.fence(connection, partition, epoch)
    assert await deliveries.claim(connection, partition) == epoch + 1
    with pytest.raises(StaleOwner):
        async with connection.transaction():
            await deliveries.fence(connection, partition, epoch)


async def test_there_is_no_courier_but_those_made_at_the_first_start(connection: DirectConnection) -> None:
    with pytest.raises(LookupError):
        await deliveries.claim(connection, 1_000_000)
    with pytest.raises(StaleOwner):
        await deliveries.fence(connection, 1_000_000, 1)


async def test_a_courier_knows_its_webhooks(connection: DirectConnection, tenant: int, partition: int) -> None:
    policy = RetryPolicy(max_retries=1)
    active = await registered(connection, tenant, courier=partition, retry_policy=policy)
    paused = await registered(connection, tenant, courier=partition, status=WebhookStatus.INACTIVE)
    deleted = await registered(connection, tenant, courier=partition)
    await webhooks.delete(connection, deleted.webhook_id, now=NOW)

    known = {one.webhook_id: one for one in await deliveries.endpoints(connection, partition)}

    assert known.keys() == {active.webhook_id, paused.webhook_id}
    assert known[active.webhook_id] == Endpoint(
        webhook_id=active.webhook_id,
        tenant_id=tenant,
        url=active.url,
        secret=b"sealed",
        former_secret=None,
        former_secret_until=None,
        retry_policy=policy,
        status=WebhookStatus.ACTIVE,
        failing_since=None,
    )
    assert await deliveries.endpoint(connection, paused.webhook_id) == known[paused.webhook_id]
    assert await deliveries.endpoint(connection, "wh_unknown") is None


async def test_who_wants_to_know_is_told_of_a_disabled_webhook(
    connection: DirectConnection, tenant: int, other_tenant: int
) -> None:
    broken = await registered(connection, tenant, events=(EVENT, DISABLED))
    told_of_it = [await registered(connection, tenant, courier=n, events=(DISABLED,)) for n in (1, 1, 2)]
    await registered(connection, tenant)
    paused = await registered(connection, tenant, events=(DISABLED,), status=WebhookStatus.INACTIVE)
    foreign = await registered(connection, other_tenant, events=(DISABLED,))

    due = await deliveries.disable(connection, broken.webhook_id, DisabledReason.GONE, "It answered 410.", NOW)

    first, second, third = (one.webhook_id for one in told_of_it)
    assert {courier: set(ids) for courier, ids in due.items()} == {1: {first, second}, 2: {third}}
    everybody = {one.webhook_id: 5 for one in (broken, foreign, *told_of_it)}
    rows = await deliveries.due(connection, everybody, NOW)
    assert {row.webhook_id for row in rows} == {first, second, third}
    assert {(row.event, row.body) for row in rows} == {
        (DISABLED, messages.disabled(broken.webhook_id, DisabledReason.GONE, "It answered 410.", NOW))
    }
    assert len({row.message_id for row in rows}) == 1
    missed, _ = await delivery_log.page(connection, DeliveryFilter(webhook_id=paused.webhook_id), after=None, limit=5)
    assert [(one.event, one.status) for one in missed] == [(DISABLED, DeliveryStatus.MISSED)]
    after = await webhooks.get(connection, broken.webhook_id)
    assert (after.status, after.status_reason) == (WebhookStatus.DISABLED, "It answered 410.")


async def test_only_an_active_webhook_is_disabled(connection: DirectConnection, tenant: int) -> None:
    await registered(connection, tenant, events=(DISABLED,))
    paused = await registered(connection, tenant, status=WebhookStatus.INACTIVE)
    deleted = await registered(connection, tenant)
    await webhooks.delete(connection, deleted.webhook_id, now=NOW)

    for hook in (paused, deleted):
        assert await deliveries.disable(connection, hook.webhook_id, DisabledReason.GONE, "It is gone.", NOW) == {}

    assert (await webhooks.get(connection, paused.webhook_id)).status is WebhookStatus.INACTIVE


async def test_missed_deliveries_are_over_when_they_are_written(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant, status=WebhookStatus.INACTIVE)
    [delivery_id] = await told(connection, [hook], status=DeliveryStatus.MISSED)
    missed = await delivery(connection, delivery_id)
    assert (missed.status, missed.due_at, missed.ended_at, missed.attempts) == (DeliveryStatus.MISSED, None, NOW, 0)


def sample(hook: Webhook) -> tuple[MessageRow, DeliveryRow]:
    message = MessageRow(ids.new_id("msg", NOW), hook.tenant_id, EVENT, None, "{}", NOW)
    row = DeliveryRow(
        ids.new_id("dlv", NOW),
        hook.tenant_id,
        hook.webhook_id,
        message.message_id,
        EVENT,
        None,
        DeliveryStatus.PENDING,
        NOW,
    )
    return message, row


async def test_the_gateway_can_send_a_sample_of_its_tenant_only(
    connection: DirectConnection, reader: Reader, tenant: int, other_tenant: int
) -> None:
    hook = await registered(connection, tenant)
    message, row = sample(hook)
    async with reader.tenant(tenant, write=True) as mine:
        await deliveries.sample(mine, message, row)
    assert ids_of(await deliveries.due(connection, {hook.webhook_id: 10}, NOW)) == [row.delivery_id]

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with reader.tenant(other_tenant, write=True) as theirs:
            await deliveries.sample(theirs, *sample(hook))


async def test_a_webhook_gets_a_message_once(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    message, row = sample(hook)
    await deliveries.write(connection, [message], [row])
    with pytest.raises(asyncpg.UniqueViolationError):
        await deliveries.write(connection, [], [msgspec.structs.replace(row, delivery_id=ids.new_id("dlv", NOW))])


@pytest.mark.parametrize(
    "change",
    [
        "due_at = NULL",
        "ended_at = now()",
        "status = 'failed'",
        "status = 'missed', due_at = NULL",
        "status = 'delivered', due_at = NULL, ended_at = now()",
        "tries = 1",
        "status = 'lost', due_at = NULL, ended_at = now()",
    ],
)
async def test_the_database_itself_refuses_impossible_deliveries(
    connection: DirectConnection, tenant: int, change: str
) -> None:
    [delivery_id] = await told(connection, [webhook(tenant)])
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"UPDATE webhook_deliveries SET {change} WHERE delivery_id = $1", delivery_id)  # noqa: S608 - the test's own words
