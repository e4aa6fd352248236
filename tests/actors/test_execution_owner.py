"""An owner on a real Postgres: what it answers is committed, counted once, and fenced."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from actors.execution_owner import ExecutionOwner, OwnerSettings
from orchestrator.executions.commands import AnyCommand, Cancel, Postponed, Receipt, Refusal, Reply, Start
from orchestrator.executions.model import Execution, ExecutionStatus, ShardStatus, Totals
from server.stores import Stores
from storage import executions
from storage.postgres import DirectConnection
from tests import orders
from tests.patience import eventually

MakeOwner = Callable[[], Awaitable[ExecutionOwner]]


@pytest.fixture
async def make_owner(stores: Stores, partition: int) -> AsyncIterator[MakeOwner]:
    """Starts owners of the test's partition; all are closed at its end."""
    async with AsyncExitStack() as stack:

        async def make() -> ExecutionOwner:
            owner = ExecutionOwner(partition, stores.database_url, stores.redis_url, OwnerSettings())
            stack.push_async_callback(owner.close)
            return owner

        yield make


@pytest.fixture
async def owner(make_owner: MakeOwner) -> ExecutionOwner:
    return await make_owner()


async def tell(owner: ExecutionOwner, *commands: AnyCommand) -> list[Reply]:
    answer = await owner.handle(msgspec.msgpack.encode(list(commands)))
    return msgspec.msgpack.decode(answer, type=list[Reply])


async def accepted(owner: ExecutionOwner, command: AnyCommand) -> Receipt:
    (reply,) = await tell(owner, command)
    assert isinstance(reply, Receipt)
    return reply


async def stored(connection: DirectConnection, execution_id: str) -> Execution:
    return (await executions.load(connection, [execution_id]))[execution_id]


async def test_an_answer_means_committed(owner: ExecutionOwner, connection: DirectConnection, tenant: int) -> None:
    made = orders.create(tenant=tenant)
    await accepted(owner, made)
    sent = orders.submit(made, "1", orders.outcomes(2, 1))
    receipt = await accepted(owner, sent)
    assert receipt.submission_id == sent.submission_id
    execution = await stored(connection, made.execution_id)
    assert execution.totals == Totals(3, 2, 1)
    tests, _ = await executions.tests(connection, made.execution_id, executions.TestFilter(), after=None, limit=10)
    assert [test.title for test in tests] == ["passed 1", "passed 2", "failed 1"]


async def test_events_are_dense_and_tell_of_failed_tests(
    owner: ExecutionOwner, connection: DirectConnection, tenant: int
) -> None:
    made = orders.create(tenant=tenant)
    await tell(owner, made, orders.submit(made, "1", orders.outcomes(1, 1)), orders.submit(made, "2"))
    log = await executions.events(connection, made.execution_id, after=0, limit=100)
    assert [event.seq for event in log] == [1, 2, 3, 4, 5]
    assert log[-1].name == "execution.completed"
    assert msgspec.json.decode(log[-1].data)["failedTests"] == [
        {"title": "failed 1", "file": "tests/a.py", "error": "boom", "shard": "1"}
    ]


async def test_a_batch_is_one_commit(owner: ExecutionOwner, tenant: int) -> None:
    made = [orders.create(tenant=tenant) for _ in range(20)]
    await tell(owner, *made)
    await tell(owner, *(orders.submit(one, "1", orders.outcomes(3)) for one in made))
    status = await owner.status()
    assert (status["commands"], status["commits"]) == (40, 2)


async def test_a_command_sent_again_after_a_restart_counts_once(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    first = await make_owner()
    made = orders.create(tenant=tenant)
    await accepted(first, made)
    sent = orders.submit(made, "1", orders.outcomes(5))
    receipt = await accepted(first, sent)
    await accepted(first, orders.submit(made, "1", orders.outcomes(7)))
    second = await make_owner()
    assert await accepted(second, orders.again(sent)) == receipt
    assert await accepted(second, orders.again(made)) is not None
    assert (await stored(connection, made.execution_id)).totals.total == 7
    assert await connection.fetchval("SELECT count(*) FROM submissions WHERE execution_id = $1", made.execution_id) == 2


async def test_a_late_submission_sent_again_is_stored_once(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    owner = await make_owner()
    made = orders.create(tenant=tenant)
    cancel = Cancel(command_id=orders.command_id(), tenant_id=tenant, execution_id=made.execution_id, reason="enough")
    late = orders.submit(made, "1", orders.outcomes(2))
    first = (await tell(owner, made, cancel, late))[2]
    assert isinstance(first, Refusal)
    assert (await tell(await make_owner(), orders.again(late)))[0] == first
    records = await executions.submissions(connection, made.execution_id, limit=10)
    assert [(record.attempt, record.is_current) for record in records] == [(None, False)]


async def test_a_replaced_owner_can_write_nothing(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    old, made = await make_owner(), orders.create(tenant=tenant)
    await accepted(old, made)
    new = await make_owner()
    await accepted(new, orders.submit(made, "1", orders.outcomes(1)))
    (refused,) = await tell(old, orders.submit(made, "2", orders.outcomes(1)))
    assert isinstance(refused, Postponed)
    assert (await stored(connection, made.execution_id)).totals.total == 1
    assert [event.seq for event in await executions.events(connection, made.execution_id, after=0, limit=9)] == [
        1,
        2,
        3,
    ]


async def test_a_replaced_owner_that_is_asked_again_starts_from_the_rows(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    old, made = await make_owner(), orders.create(tenant=tenant)
    await accepted(old, made)
    await accepted(await make_owner(), orders.submit(made, "1", orders.outcomes(1)))
    sent = orders.submit(made, "2", orders.outcomes(2))
    await tell(old, sent)
    await accepted(old, orders.again(sent))
    execution = await stored(connection, made.execution_id)
    assert (execution.status, execution.totals.total) == (ExecutionStatus.COMPLETED, 3)


async def test_a_command_that_the_store_cannot_take_harms_no_other(
    owner: ExecutionOwner, connection: DirectConnection, tenant: int
) -> None:
    made = orders.create(tenant=tenant)
    await accepted(owner, made)
    broken = msgspec.structs.replace(orders.submit(made, "1", orders.outcomes(1)), rows=b"not a row\n")
    replies = await tell(owner, broken, orders.submit(made, "2", orders.outcomes(1)))
    assert isinstance(replies[0], Refusal)
    assert replies[0].code == "INTERNAL_ERROR"
    assert isinstance(replies[1], Receipt)
    shards = (await stored(connection, made.execution_id)).shards
    assert [shard.status for shard in shards] == [ShardStatus.PENDING, ShardStatus.COMPLETED]


async def test_a_lost_connection_postpones_and_heals(
    owner: ExecutionOwner, connection: DirectConnection, tenant: int
) -> None:
    made = orders.create(tenant=tenant)
    await accepted(owner, made)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'tms' AND pid <> pg_backend_pid()"
    )
    sent: AnyCommand = orders.submit(made, "1", orders.outcomes(2))
    (reply,) = await tell(owner, sent)
    if isinstance(reply, Postponed):
        (reply,) = await tell(owner, orders.again(sent))
    assert isinstance(reply, Receipt)
    assert (await stored(connection, made.execution_id)).totals.total == 2


async def test_one_key_in_two_partitions_at_once_makes_one_execution(
    stores: Stores,
    make_owner: MakeOwner,
    connection: DirectConnection,
    tenant: int,
    partition_numbers: Iterator[int],
) -> None:
    here, there = (
        await make_owner(),
        ExecutionOwner(next(partition_numbers), stores.database_url, stores.redis_url, OwnerSettings()),
    )
    keyed = [
        msgspec.structs.replace(
            orders.create(tenant=tenant), command_id=f"key_{tenant}", fingerprint=b"body", may_repeat=True
        )
        for _ in range(2)
    ]
    try:
        answers = await asyncio.gather(tell(here, keyed[0]), tell(there, keyed[1]))
        replies = [answer[0] for answer in answers]
        settled = [
            reply if isinstance(reply, Receipt) else (await tell(owner, command))[0]
            for reply, owner, command in zip(replies, (here, there), keyed, strict=True)
        ]
    finally:
        await there.close()
    assert isinstance(settled[0], Receipt)
    assert settled[0] == settled[1]
    assert await connection.fetchval("SELECT count(*) FROM executions WHERE tenant_id = $1", tenant) == 1


async def test_a_key_used_for_another_request_is_refused(owner: ExecutionOwner, tenant: int) -> None:
    first = msgspec.structs.replace(orders.create(tenant=tenant), command_id=f"key_{tenant}", fingerprint=b"one")
    other = msgspec.structs.replace(
        orders.create(tenant=tenant), command_id=f"key_{tenant}", fingerprint=b"two", may_repeat=True
    )
    await accepted(owner, first)
    (reply,) = await tell(owner, other)
    assert isinstance(reply, Refusal)
    assert reply.code == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.contract("X-030")
async def test_a_deadline_that_fell_due_while_nobody_ran_ends_the_execution(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    first = await make_owner()
    made = orders.create(tenant=tenant, timeout=50)
    start = Start(command_id=orders.command_id(), tenant_id=tenant, execution_id=made.execution_id, at=orders.now())
    await tell(first, made, start)
    await first.close()
    second = await make_owner()
    living = asyncio.create_task(second.live())

    async def ended() -> bool:
        return (await stored(connection, made.execution_id)).status is ExecutionStatus.FAILED

    await eventually(ended)
    living.cancel()


async def test_memory_holds_only_what_is_unfinished(owner: ExecutionOwner, tenant: int) -> None:
    made = [orders.create(tenant=tenant, shards=1) for _ in range(3)]
    await tell(owner, *made, orders.submit(made[0], "1"))
    status = await owner.status()
    assert (status["executions_in_memory"], status["deadlines"]) == (2, 2)
