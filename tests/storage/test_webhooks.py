"""Registered webhooks in the store, as the gateway changes them and as owners read them."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from orchestrator.errors import Conflict, NotFound, StaleOwner
from orchestrator.executions.model import Environment, TestSuite
from orchestrator.webhooks.model import (
    LONGEST_URL,
    DisabledReason,
    Filters,
    RetryPolicy,
    Subscription,
    WebhookEvent,
    WebhookStatus,
)
from storage import commits, deliveries, webhooks
from storage.deliveries import Endpoint
from storage.postgres import DirectConnection, Reader
from storage.webhooks import Change, WebhookFilter
from tests.registrations import NOW, attempt, registered, told, webhook

LATER = NOW + timedelta(hours=1)
EVERYTHING = WebhookFilter()


async def endpoint(connection: DirectConnection, webhook_id: str) -> Endpoint:
    found = await deliveries.endpoint(connection, webhook_id)
    assert found is not None
    return found


async def test_a_webhook_is_read_as_it_was_registered(reader: Reader, tenant: int) -> None:
    wanted = webhook(
        tenant,
        events=("shard.completed", "execution.started"),
        filters=Filters(test_suites=(TestSuite.SMOKE,), environments=(Environment.STAGING,), branches=("main",)),
        retry_policy=RetryPolicy(max_retries=7, schedule=(0.5, 2)),
    )
    async with reader.tenant(tenant, write=True) as mine:
        made = await webhooks.create(mine, wanted, b"sealed")
        assert made == wanted == await webhooks.get(mine, wanted.webhook_id)


async def test_the_same_url_and_events_in_any_order_conflict_and_name_the_other(reader: Reader, tenant: int) -> None:
    first = webhook(tenant, events=("shard.completed", "execution.started"))
    same = webhook(tenant, url=first.url, events=tuple(reversed(first.events)))
    fewer = webhook(tenant, url=first.url, events=first.events[:1])
    async with reader.tenant(tenant, write=True) as mine:
        await webhooks.create(mine, first, b"sealed")
        with pytest.raises(Conflict, match=first.webhook_id):
            await webhooks.create(mine, same, b"sealed")
        assert await webhooks.create(mine, fewer, b"sealed") == fewer


async def test_an_id_is_registered_once(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    with pytest.raises(Conflict, match=hook.webhook_id):
        await webhooks.create(connection, hook, b"other")
    assert (await endpoint(connection, hook.webhook_id)).secret == b"sealed"


async def test_other_tenants_and_deleted_webhooks_do_not_conflict(
    connection: DirectConnection, tenant: int, other_tenant: int
) -> None:
    first = await registered(connection, tenant)
    await registered(connection, other_tenant, url=first.url)
    await webhooks.delete(connection, first.webhook_id, now=LATER)
    assert (await registered(connection, tenant, url=first.url)).url == first.url


async def test_the_longest_url_with_all_events_can_be_registered(connection: DirectConnection, tenant: int) -> None:
    noise = "".join(uuid4().hex for _ in range(LONGEST_URL // 32))
    url = f"https://ci.example.com/{noise}"[:LONGEST_URL]
    made = await registered(connection, tenant, url=url, events=tuple(WebhookEvent))
    assert made.url == url


async def test_a_change_leaves_the_rest_as_it_is(reader: Reader, tenant: int) -> None:
    async with reader.tenant(tenant, write=True) as mine:
        before = await webhooks.create(mine, webhook(tenant, filters=Filters(branches=("main",))), b"sealed")
        for change in (
            Change(url="https://elsewhere.example.com/"),
            Change(events=("execution.failed", "execution.started")),
            Change(filters=Filters()),
            Change(retry_policy=RetryPolicy(max_retries=0)),
            Change(status=WebhookStatus.INACTIVE),
        ):
            after = await webhooks.update(mine, before.webhook_id, change, now=LATER)
            named = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
            assert after == msgspec.structs.replace(before, **named, updated_at=LATER)
            assert await webhooks.get(mine, before.webhook_id) == after
            before = after


async def test_a_change_to_anothers_url_and_events_is_a_conflict(connection: DirectConnection, tenant: int) -> None:
    first, second = await registered(connection, tenant), await registered(connection, tenant)
    with pytest.raises(Conflict):
        await webhooks.update(connection, second.webhook_id, Change(url=first.url), now=LATER)
    assert await webhooks.get(connection, second.webhook_id) == second


async def test_a_webhook_that_is_made_active_is_not_failing(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    await deliveries.record(connection, [attempt(hook, delivery_id, status_code=500)])

    unchanged = await webhooks.update(connection, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=LATER)
    assert unchanged.failing_since == NOW
    await deliveries.disable(connection, hook.webhook_id, DisabledReason.FAILING, "It failed.", LATER)
    disabled = await webhooks.get(connection, hook.webhook_id)
    assert (disabled.status, disabled.status_reason) == (WebhookStatus.DISABLED, "It failed.")

    other = await webhooks.update(connection, hook.webhook_id, Change(retry_policy=RetryPolicy()), now=LATER)
    assert (other.status, other.status_reason, other.failing_since) == (WebhookStatus.DISABLED, "It failed.", NOW)
    active = await webhooks.update(connection, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=LATER)
    assert (active.status, active.status_reason, active.failing_since) == (WebhookStatus.ACTIVE, None, None)


async def test_a_webhook_that_goes_elsewhere_is_not_failing(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    [delivery_id] = await told(connection, [hook])
    await deliveries.record(connection, [attempt(hook, delivery_id, status_code=500)])

    same = await webhooks.update(connection, hook.webhook_id, Change(url=hook.url), now=LATER)
    assert same.failing_since == NOW
    moved = await webhooks.update(connection, hook.webhook_id, Change(url=f"{hook.url}/new"), now=LATER)
    assert moved.failing_since is None


async def test_a_former_secret_is_kept_for_its_overlap_only(reader: Reader, tenant: int) -> None:
    async with reader.tenant(tenant, write=True) as mine:
        hook = await webhooks.create(mine, webhook(tenant), b"first")
        rotated = await webhooks.rotate(mine, hook.webhook_id, b"second", former_until=LATER, now=NOW)
        assert rotated.former_secret_until == LATER
        known = await deliveries.endpoint(mine, hook.webhook_id)
        assert known is not None
        assert (known.secret, known.former_secret, known.former_secret_until) == (b"second", b"first", LATER)

        await webhooks.rotate(mine, hook.webhook_id, b"third", former_until=None, now=NOW)
        known = await deliveries.endpoint(mine, hook.webhook_id)
        assert known is not None
        assert (known.secret, known.former_secret, known.former_secret_until) == (b"third", None, None)


async def test_a_validation_is_noted(reader: Reader, tenant: int) -> None:
    async with reader.tenant(tenant, write=True) as mine:
        hook = await webhooks.create(mine, webhook(tenant, failing_since=NOW), b"sealed")
        await webhooks.note_validation(mine, hook.webhook_id, LATER, is_success=False)
        noted = await webhooks.get(mine, hook.webhook_id)
        assert (noted.last_validated_at, noted.failing_since) == (LATER, hook.failing_since)
        await webhooks.note_validation(mine, hook.webhook_id, LATER, is_success=True)
        assert (await webhooks.get(mine, hook.webhook_id)).failing_since is None


async def test_pages_have_the_newest_first_and_no_deleted_ones(reader: Reader, tenant: int) -> None:
    made = [webhook(tenant, created_at=NOW + timedelta(seconds=second // 2)) for second in range(6)]
    async with reader.tenant(tenant, write=True) as mine:
        for one in made:
            await webhooks.create(mine, one, b"sealed")
        await webhooks.delete(mine, made[3].webhook_id, now=LATER)
        expected = sorted(
            [one for one in made if one is not made[3]], key=lambda one: (one.created_at, one.webhook_id), reverse=True
        )

        first, position = await webhooks.page(mine, EVERYTHING, after=None, limit=2)
        middle, position = await webhooks.page(mine, EVERYTHING, after=position, limit=2)
        last, end = await webhooks.page(mine, EVERYTHING, after=position, limit=2)

    assert [*first, *middle, *last] == expected
    assert end is None


async def test_pages_are_filtered(reader: Reader, tenant: int) -> None:
    plain, paused = webhook(tenant), webhook(tenant, status=WebhookStatus.INACTIVE)
    shards = webhook(tenant, events=("shard.started", "shard.completed"))
    async with reader.tenant(tenant, write=True) as mine:
        for one in (plain, paused, shards):
            await webhooks.create(mine, one, b"sealed")

        async def listed(wanted: WebhookFilter) -> list[str]:
            return [one.webhook_id for one in (await webhooks.page(mine, wanted, after=None, limit=10))[0]]

        assert await listed(WebhookFilter(status=WebhookStatus.INACTIVE)) == [paused.webhook_id]
        assert await listed(WebhookFilter(url=plain.url)) == [plain.webhook_id]
        assert await listed(WebhookFilter(event="shard.completed")) == [shards.webhook_id]
        assert await listed(WebhookFilter(event="shard.completed", url=plain.url)) == []


async def test_a_deleted_webhook_is_gone_for_everybody(connection: DirectConnection, tenant: int) -> None:
    hook = await registered(connection, tenant)
    assert await webhooks.delete(connection, hook.webhook_id, now=LATER) == hook

    assert await deliveries.endpoint(connection, hook.webhook_id) is None
    assert await webhooks.subscriptions(connection, [tenant]) == {}
    for refused in (
        webhooks.get(connection, hook.webhook_id),
        webhooks.update(connection, hook.webhook_id, Change(url="https://x.example.com/"), now=LATER),
        webhooks.rotate(connection, hook.webhook_id, b"sealed", former_until=None, now=LATER),
        webhooks.delete(connection, hook.webhook_id, now=LATER),
    ):
        with pytest.raises(NotFound):
            await refused


@pytest.mark.contract("X-025")
async def test_another_tenant_sees_and_changes_nothing(
    connection: DirectConnection, reader: Reader, tenant: int, other_tenant: int
) -> None:
    hook = await registered(connection, tenant)

    async with reader.tenant(other_tenant, write=True) as theirs:
        assert await webhooks.page(theirs, EVERYTHING, after=None, limit=10) == ([], None)
        assert await webhooks.subscriptions(theirs, [tenant]) == {}
        assert await deliveries.endpoint(theirs, hook.webhook_id) is None
        await webhooks.note_validation(theirs, hook.webhook_id, LATER, is_success=True)
        for refused in (
            webhooks.get(theirs, hook.webhook_id),
            webhooks.update(theirs, hook.webhook_id, Change(url="https://x.example.com/"), now=LATER),
            webhooks.rotate(theirs, hook.webhook_id, b"theirs", former_until=None, now=LATER),
            webhooks.delete(theirs, hook.webhook_id, now=LATER),
        ):
            with pytest.raises(NotFound):
                await refused
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with reader.tenant(other_tenant, write=True) as theirs:
            await webhooks.create(theirs, webhook(tenant), b"sealed")

    assert await webhooks.get(connection, hook.webhook_id) == hook
    assert (await endpoint(connection, hook.webhook_id)).secret == b"sealed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webhooks SET tenant_id = tenant_id",
        "UPDATE webhooks SET courier = 1",
        "DELETE FROM webhooks",
        "UPDATE webhook_revision SET revision = 0",
        "UPDATE couriers SET epoch = 0",
        "UPDATE webhook_messages SET body = ''",
        "UPDATE webhook_deliveries SET attempts = 1",
        "DELETE FROM webhook_deliveries",
        "INSERT INTO webhook_attempts VALUES ('x', 1, 1, now(), 1, 200, NULL, '')",
        "SELECT * FROM due_webhook_deliveries('{x}', '{1}', now(), '{}')",
    ],
)
async def test_a_reader_has_no_right_to_what_only_owners_and_couriers_do(
    reader: Reader, tenant: int, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with reader.tenant(tenant, write=True) as mine:
            await mine.execute(statement)


async def test_owners_know_all_subscriptions_of_a_tenant(
    connection: DirectConnection, tenant: int, other_tenant: int
) -> None:
    filters = Filters(environments=(Environment.PRODUCTION,))
    active = await registered(connection, tenant, courier=3, events=("shard.started", "shard.completed"))
    paused = await registered(connection, tenant, filters=filters, status=WebhookStatus.INACTIVE)
    await registered(connection, other_tenant)

    found = await webhooks.subscriptions(connection, [tenant])

    assert list(found) == [tenant]
    assert {one.webhook_id: one for one in found[tenant]} == {
        one.webhook_id: Subscription(
            webhook_id=one.webhook_id,
            tenant_id=tenant,
            courier=one.courier,
            events=frozenset(one.events),
            filters=one.filters,
            status=one.status,
        )
        for one in (active, paused)
    }


async def test_the_revision_changes_with_who_is_told_of_what_and_only_then(
    connection: DirectConnection, reader: Reader, tenant: int, partition: int
) -> None:
    epoch = await commits.claim(connection, partition)

    async def revision() -> int:
        async with connection.transaction():
            return await commits.fence(connection, partition, epoch)

    known = [await revision()]

    async def has_changed() -> bool:
        known.append(await revision())
        return known[-1] > known[-2]

    async with reader.tenant(tenant, write=True) as mine:
        hook = await webhooks.create(mine, webhook(tenant), b"sealed")
        assert not await has_changed(), "it is not committed yet"
    assert await has_changed()
    async with reader.tenant(tenant, write=True) as mine:
        await webhooks.update(mine, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=LATER)
    assert await has_changed()

    [delivery_id] = await told(connection, [hook])
    await deliveries.record(connection, [attempt(hook, delivery_id, status_code=500)])
    async with reader.tenant(tenant, write=True) as mine:
        await webhooks.rotate(mine, hook.webhook_id, b"other", former_until=None, now=LATER)
        await webhooks.note_validation(mine, hook.webhook_id, LATER, is_success=False)
    assert not await has_changed()

    await deliveries.disable(connection, hook.webhook_id, DisabledReason.GONE, "It is gone.", LATER)
    assert await has_changed()
    async with reader.tenant(tenant, write=True) as mine:
        await webhooks.delete(mine, hook.webhook_id, now=LATER)
    assert await has_changed()


async def test_a_stale_owner_learns_no_revision(connection: DirectConnection, partition: int) -> None:
    epoch = await commits.claim(connection, partition)
    await commits.claim(connection, partition)
    with pytest.raises(StaleOwner):
        await commits.fence(connection, partition, epoch)


async def test_changes_of_several_webhooks_at_once_do_not_wait_for_each_other_for_ever(
    connection: DirectConnection, second: DirectConnection, tenant: int
) -> None:
    one, two = await registered(connection, tenant), await registered(connection, tenant)
    paused = Change(status=WebhookStatus.INACTIVE)

    async with asyncio.timeout(20), second.transaction():
        async with connection.transaction():
            await webhooks.update(connection, one.webhook_id, paused, now=LATER)
            await webhooks.update(second, two.webhook_id, paused, now=LATER)
        assert (await webhooks.get(connection, one.webhook_id)).status is WebhookStatus.INACTIVE
