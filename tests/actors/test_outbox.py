"""The outbox: what is committed is to be delivered, to whom it is for, in order, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from actors.execution_owner import ExecutionOwner, OwnerSettings
from orchestrator import ids
from orchestrator.executions.commands import (
    AnyCommand,
    Complete,
    Create,
    Receipt,
    Reply,
    ReportProgress,
    Start,
)
from orchestrator.executions.model import Environment, ShardStatus, TestSuite
from orchestrator.webhooks.model import Filters, RetryPolicy, Webhook, WebhookStatus
from server.stores import Stores
from storage import executions, webhooks
from storage.bus import Bus
from storage.postgres import DirectConnection
from tests import orders
from tests.clock import Clock
from tests.patience import eventually

INTERVAL = 30.0
ANY_EXECUTION = Filters()
ALL = (
    *("execution.started", "execution.progress", "shard.started", "shard.completed"),
    *("execution.completed", "execution.failed", "execution.cancelled"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeOwner = Callable[[], Awaitable[ExecutionOwner]]


@pytest.fixture
async def make_owner(stores: Stores, partition: int, clock: Clock) -> AsyncIterator[MakeOwner]:
    """Starts owners of the test's partition; all are closed at its end."""
    async with AsyncExitStack() as stack:

        async def make() -> ExecutionOwner:
            owner = ExecutionOwner(partition, stores.database_url, stores.redis_url, OwnerSettings(INTERVAL), clock)
            stack.push_async_callback(owner.close)
            return owner

        yield make


@pytest.fixture
async def owner(make_owner: MakeOwner) -> ExecutionOwner:
    return await make_owner()


Subscribe = Callable[..., Awaitable[str]]


@pytest.fixture
def subscribe(connection: DirectConnection, tenant: int) -> Subscribe:
    """Registers a webhook of the test's tenant, for all events unless others are named."""

    async def register(
        *events: str, filters: Filters = ANY_EXECUTION, status: WebhookStatus = WebhookStatus.ACTIVE
    ) -> str:
        now = orders.now()
        webhook = Webhook(
            webhook_id=ids.new_id("wh", now),
            tenant_id=tenant,
            courier=5,
            url=f"https://example.com/{ids.new_id('path', now)}",
            events=events or ALL,
            filters=filters,
            retry_policy=RetryPolicy(),
            status=status,
            status_reason=None,
            created_at=now,
            updated_at=now,
            failing_since=None,
            last_validated_at=None,
            former_secret_until=None,
        )
        return (await webhooks.create(connection, webhook, b"sealed")).webhook_id

    return register


async def tell(owner: ExecutionOwner, *commands: AnyCommand) -> list[Reply]:
    answer = await owner.handle(msgspec.msgpack.encode(list(commands)))
    return msgspec.msgpack.decode(answer, type=list[Reply])


async def told(connection: DirectConnection, webhook_id: str) -> list[dict[str, Any]]:
    """The bodies that a webhook is to get, in the order of their delivery, each with its `status`."""
    rows = await connection.fetch(
        "SELECT d.status, m.body FROM webhook_deliveries d JOIN webhook_messages m USING (message_id)"
        " WHERE webhook_id = $1 ORDER BY due_at, ordinal",
        webhook_id,
    )
    return [{"status": row["status"], **msgspec.json.decode(row["body"])} for row in rows]


async def events_told(connection: DirectConnection, webhook_id: str) -> list[str]:
    return [body["event"] for body in await told(connection, webhook_id)]


async def let_pass(
    owner: ExecutionOwner, connection: DirectConnection, tenant: int, clock: Clock, seconds: float
) -> None:
    """Set the clock forward, and wait until the owner has done all that fell due: a deadline shows it."""
    canary = orders.create(tenant=tenant, timeout=20)
    await tell(owner, canary)
    clock.advance(seconds)

    async def ended() -> bool:
        return (await executions.load(connection, [canary.execution_id]))[canary.execution_id].is_finished

    await eventually(ended)


def common(made: Create) -> dict[str, Any]:
    return {"command_id": orders.command_id(), "tenant_id": made.tenant_id, "execution_id": made.execution_id}


@pytest.mark.contract("X-073")
async def test_a_webhook_gets_the_events_it_asked_for_in_their_order(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int
) -> None:
    everything, ends = await subscribe(), await subscribe("execution.completed")
    made = orders.create(tenant=tenant)
    await tell(owner, made, orders.submit(made, "1", orders.outcomes(1)))
    await tell(owner, orders.submit(made, "2", orders.outcomes(0, 1)))
    assert await events_told(connection, everything) == [
        *("execution.started", "shard.completed", "shard.completed", "execution.completed")
    ]
    (end,) = await told(connection, ends)
    assert end.keys() == {"status", "event", "timestamp", "executionId", "data"}
    assert end["executionId"] == made.execution_id
    assert [test["title"] for test in end["data"]["failedTests"]] == ["failed 1"]


@pytest.mark.contract("X-060")
async def test_the_receipt_counts_the_deliveries_a_submission_caused(
    owner: ExecutionOwner, subscribe: Subscribe, tenant: int
) -> None:
    first = orders.create(tenant=tenant)
    (_, alone) = await tell(owner, first, orders.submit(first, "1"))
    for _ in range(2):
        await subscribe("shard.completed")
    await subscribe("shard.completed", status=WebhookStatus.INACTIVE)
    made = orders.create(tenant=tenant)
    sent = orders.submit(made, "1")
    replies = [*await tell(owner, made, sent), *await tell(owner, orders.again(sent))]
    assert isinstance(alone, Receipt)
    assert alone.webhooks == 0
    assert [reply.webhooks for reply in replies if isinstance(reply, Receipt)] == [0, 2, 2]


async def test_a_registration_counts_from_the_next_commit_on_and_a_deletion_too(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int
) -> None:
    made = orders.create(tenant=tenant, shards=3)
    await tell(owner, made, orders.submit(made, "1"))
    webhook_id = await subscribe("shard.completed")
    await tell(owner, orders.submit(made, "2"))
    await webhooks.delete(connection, webhook_id, now=orders.now())
    await tell(owner, orders.submit(made, "3"))
    assert [body["data"]["shardId"] for body in await told(connection, webhook_id)] == ["2"]


async def test_one_that_is_not_active_misses_events_and_keeps_them(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int
) -> None:
    webhook_id = await subscribe("execution.started", status=WebhookStatus.INACTIVE)
    made = orders.create(tenant=tenant)
    await tell(owner, made, orders.submit(made, "1"))
    assert [(body["event"], body["status"]) for body in await told(connection, webhook_id)] == [
        ("execution.started", "missed")
    ]


async def test_another_tenants_webhooks_are_told_nothing(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe
) -> None:
    webhook_id = await subscribe()
    other: int = await connection.fetchval("INSERT INTO tenants (name) VALUES (gen_random_uuid()) RETURNING tenant_id")
    made = orders.create(tenant=other)
    await tell(owner, made, orders.submit(made, "1"))
    assert await told(connection, webhook_id) == []


@pytest.mark.contract("X-035")
async def test_filters_choose_executions_and_statuses(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int
) -> None:
    fitting = await subscribe(
        filters=Filters(
            test_suites=(TestSuite.SMOKE,),
            environments=(Environment.STAGING,),
            branches=("main",),
            providers=("custom-ci",),
        )
    )
    bad = await subscribe(filters=Filters(statuses=("failed",)))
    elsewhere = await subscribe(filters=Filters(environments=(Environment.DEV,)))
    made = orders.create(tenant=tenant)
    failed = orders.submit(made, "2", orders.outcomes(0, 1), status=ShardStatus.FAILED)
    await tell(owner, made, orders.submit(made, "1"), failed)
    assert len(await told(connection, fitting)) == 4
    assert [body["data"].get("shardId") for body in await told(connection, bad)] == ["2"]
    assert await told(connection, elsewhere) == []


async def test_a_commit_that_fails_leaves_no_delivery(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int
) -> None:
    webhook_id = await subscribe()
    made = orders.create(tenant=tenant)
    broken = msgspec.structs.replace(orders.submit(made, "1", orders.outcomes(1)), rows=b"not a row\n")
    await tell(owner, made, broken)
    assert await told(connection, webhook_id) == []


@pytest.mark.contract("X-051", "X-067")
async def test_a_runners_progress_is_told_at_once_and_then_once_an_interval(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int, clock: Clock
) -> None:
    webhook_id = await subscribe("execution.progress")
    made = orders.create(tenant=tenant, timeout=3_600_000)
    await tell(owner, made, Start(**common(made), at=clock.now))
    for _ in range(7):
        clock.advance(10)
        await tell(owner, ReportProgress(**common(made), at=clock.now, report='{"percent":10}'))
    assert [body["timestamp"][:19] for body in await told(connection, webhook_id)] == [
        f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (clock.now - timedelta(seconds=ago) for ago in (60, 30, 0))
    ]


@pytest.mark.contract("X-067")
async def test_a_silent_runners_progress_is_told_by_the_owner_until_the_end_and_never_after(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int, clock: Clock
) -> None:
    webhook_id = await subscribe("execution.progress")
    made = orders.create(tenant=tenant, shards=1, timeout=3_600_000)
    await tell(owner, made, Start(**common(made), at=clock.now))

    async def after(seconds: float) -> int:
        """How often progress has been told, so long after."""
        await let_pass(owner, connection, tenant, clock, seconds)
        return len(await told(connection, webhook_id))

    assert [await after(seconds) for seconds in (29, 2, 28, 3)] == [0, 1, 1, 2]
    await tell(owner, Complete(**common(made), at=clock.now, totals=None))
    assert await after(90) == 2


async def test_an_end_in_the_same_commit_as_a_runners_word_of_progress_is_the_end_of_both(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int, clock: Clock
) -> None:
    webhook_id = await subscribe("execution.progress")
    made = orders.create(tenant=tenant, shards=1, timeout=3_600_000)
    word = ReportProgress(**common(made), at=clock.now, report="{}")
    await tell(owner, made, word, orders.submit(made, "1"))
    await let_pass(owner, connection, tenant, clock, 31)
    await let_pass(owner, connection, tenant, clock, 31)
    assert await events_told(connection, webhook_id) == ["execution.progress"]


async def test_no_row_is_written_for_progress_that_nobody_wants(
    owner: ExecutionOwner, connection: DirectConnection, subscribe: Subscribe, tenant: int, clock: Clock
) -> None:
    await subscribe("execution.completed")
    made = orders.create(tenant=tenant, timeout=3_600_000)
    await tell(owner, made, Start(**common(made), at=clock.now))
    await let_pass(owner, connection, tenant, clock, 31)
    names = await connection.fetch("SELECT name FROM events WHERE execution_id = $1", made.execution_id)
    assert [row["name"] for row in names] == ["execution.created", "execution.started"]


async def test_couriers_are_nudged_after_the_commit(
    owner: ExecutionOwner, stores: Stores, subscribe: Subscribe, tenant: int
) -> None:
    webhook_id = await subscribe("execution.started")
    bus = Bus(stores.redis_url)
    heard = bus.listen_due(5)
    assert await anext(heard) is None, "the subscription stands"
    made = orders.create(tenant=tenant)
    await tell(owner, made, Start(**common(made), at=orders.now()))
    while (webhook_ids := await anext(heard)) is None or webhook_id not in webhook_ids:
        pass
    assert webhook_ids == [webhook_id]
    await bus.close()
