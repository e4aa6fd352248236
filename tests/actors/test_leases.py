"""Leases under a real owner: they lapse without being asked, survive a restart, and fence former holders off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from actors import execution_owner
from actors.execution_owner import ExecutionOwner, OwnerSettings
from actors.lease_clock import HeldLease, LeaseClock
from orchestrator.executions.commands import (
    AnyCommand,
    Beat,
    Claim,
    Claimed,
    ClaimState,
    Create,
    Order,
    Placed,
    Receipt,
    Reply,
    Stream,
)
from orchestrator.executions.model import Execution, TestOutcome, TestStatus
from orchestrator.executions.plan import PlanMode
from orchestrator.executions.streams import status_letters
from server.stores import Stores
from storage import executions, result_rows
from storage.postgres import DirectConnection
from tests import orders
from tests.clock import Clock
from tests.dealt import Run, a_manifest, drawn, lease_of, make_plan
from tests.patience import eventually

LEASE = 30.0
MakeOwner = Callable[[], Awaitable[ExecutionOwner]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make_owner(stores: Stores, partition: int, clock: Clock) -> AsyncIterator[MakeOwner]:
    """Starts owners of the test's partition; all are closed at its end."""
    async with AsyncExitStack() as stack:

        async def make() -> ExecutionOwner:
            settings = OwnerSettings(lease_seconds=LEASE)
            owner = ExecutionOwner(partition, stores.database_url, stores.redis_url, settings, clock)
            stack.push_async_callback(owner.close)
            return owner

        yield make


async def tell(owner: ExecutionOwner, command: AnyCommand) -> Receipt:
    answer = await owner.handle(msgspec.msgpack.encode([command]))
    (reply,) = msgspec.msgpack.decode(answer, type=list[Reply])
    assert isinstance(reply, Receipt), reply
    return reply


async def planned(owner: ExecutionOwner, tenant: int, mode: PlanMode = PlanMode.QUEUE) -> Create:
    """A new execution with four tests planned, which may be tried twice."""
    made = orders.create(tenant=tenant, shards=1, timeout=3_600_000)
    made = msgspec.structs.replace(made, configuration=msgspec.structs.replace(made.configuration, retries=1))
    await tell(owner, made)
    await tell(owner, make_plan(made.execution_id, tenant, drawn(a_manifest(4, 1), mode, 1)))
    return made


def common(made: Create) -> dict[str, Any]:
    return {"command_id": orders.command_id(), "tenant_id": made.tenant_id, "execution_id": made.execution_id}


async def claim(owner: ExecutionOwner, made: Create, runner: str) -> Claimed:
    claimed = (await tell(owner, Claim(**common(made), runner_id=runner, shard_id=None, done=None))).claimed
    assert claimed is not None
    return claimed


async def beat(owner: ExecutionOwner, made: Create, runner: str, claimed: Claimed) -> Order | None:
    assert claimed.lease is not None
    return (await tell(owner, Beat(**common(made), runner_id=runner, lease=claimed.lease))).order


async def stream(owner: ExecutionOwner, made: Create, runner: str, claimed: Claimed, places: tuple[int, ...]) -> str:
    assert claimed.lease is not None
    tests = [TestOutcome(f"test {place}", TestStatus.PASSED) for place in places]
    submission, now = orders.command_id(), orders.now()
    command = Stream(
        **common(made),
        runner_id=runner,
        lease=claimed.lease,
        shard_id="1",
        submission_id=submission,
        tests=status_letters(tests),
        placed=Placed(places, places),
        rows=result_rows.encode(made.tenant_id, submission, now, tests),
        digest=b"digest",
        reported_at=now,
    )
    return (await tell(owner, command)).outcomes


async def state(connection: DirectConnection, made: Create) -> Execution:
    return (await executions.load(connection, [made.execution_id]))[made.execution_id]


async def lapsed(connection: DirectConnection, made: Create) -> None:
    """Wait until no lease of an execution is open."""

    async def none_open() -> bool:
        deal = (await state(connection, made)).deal
        return deal is not None and not deal.leases

    await eventually(none_open)


async def test_a_silent_runner_loses_its_lease_without_anybody_asking(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int, clock: Clock
) -> None:
    owner = await make_owner()
    made = await planned(owner, tenant)
    silent = await claim(owner, made, "silent")
    assert await stream(owner, made, "silent", silent, silent.places[:1]) == "a"

    await tell(owner, orders.create(tenant=tenant, timeout=20))  # its deadline makes the owner look at the clock
    clock.advance(LEASE + 1)
    await lapsed(connection, made)

    assert await beat(owner, made, "silent", silent) is Order.ABANDON
    assert await stream(owner, made, "silent", silent, silent.places) == "l" * len(silent.places)
    assert (await state(connection, made)).totals.total == 1


async def test_a_sign_of_life_renews_a_lease(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int, clock: Clock
) -> None:
    owner = await make_owner()
    made = await planned(owner, tenant)
    claimed = await claim(owner, made, "alive")
    for _ in range(4):
        clock.advance(LEASE * 0.6)
        assert await beat(owner, made, "alive", claimed) is Order.CONTINUE

    deal = (await state(connection, made)).deal
    assert deal is not None
    assert [lease.number for lease in deal.leases] == [claimed.lease]


async def test_a_runner_that_was_heard_before_its_turn_came_keeps_its_lease(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int, clock: Clock
) -> None:
    owner = await make_owner()
    made = await planned(owner, tenant)
    alive = await claim(owner, made, "alive")
    assert alive.lease is not None
    clock.advance(LEASE + 1)

    # The lapse waits for its turn, and behind it the sign of life.
    owner.look_at_clock()
    assert await beat(owner, made, "alive", alive) is Order.CONTINUE

    deal = (await state(connection, made)).deal
    assert deal is not None
    assert [lease.number for lease in deal.leases] == [alive.lease]


async def test_a_database_that_stalls_costs_no_runner_its_lease(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_owner, "STALL_SECONDS", 0.0)
    owner = await make_owner()
    made = await planned(owner, tenant)
    await claim(owner, made, "alive")
    clock.advance(LEASE - 0.001)
    async with connection.transaction():
        await connection.execute("LOCK TABLE partitions IN ACCESS EXCLUSIVE MODE")
        other = asyncio.create_task(tell(owner, orders.create(tenant=tenant)))
        await eventually(lambda: waits_for_a_lock(connection))
        clock.advance(0.002)
        owner.look_at_clock()
    await other
    await tell(owner, orders.create(tenant=tenant))

    deal = (await state(connection, made)).deal
    assert deal is not None
    assert len(deal.leases) == 1


async def waits_for_a_lock(connection: DirectConnection) -> bool:
    waiting: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'partitions'::regclass)"
    )
    return waiting


async def test_a_new_owner_knows_leases_queue_and_reports_and_gives_each_lease_its_time_again(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int, clock: Clock
) -> None:
    first = await make_owner()
    made = await planned(first, tenant, PlanMode.STATIC)
    claimed = await claim(first, made, "survivor")
    await stream(first, made, "survivor", claimed, claimed.places[:1])
    before = await state(connection, made)
    clock.advance(LEASE * 0.9)

    second = await make_owner()
    again = await claim(second, made, "survivor")
    clock.advance(LEASE * 0.9)

    assert await beat(second, made, "survivor", claimed) is Order.CONTINUE
    assert (again.lease, again.places) == (claimed.lease, claimed.places[1:])
    after = await state(connection, made)
    assert (after.deal, after.shards) == (before.deal, before.shards)


async def test_duplicates_within_a_piece_are_not_stored(
    make_owner: MakeOwner, connection: DirectConnection, tenant: int
) -> None:
    owner = await make_owner()
    made = await planned(owner, tenant, PlanMode.STATIC)
    claimed = await claim(owner, made, "a")
    await stream(owner, made, "a", claimed, (0, 1))

    assert await stream(owner, made, "a", claimed, (1, 2, 0, 3)) == "dada"

    tests, _ = await executions.tests(connection, made.execution_id, executions.TestFilter(), after=None, limit=10)
    assert [test.title for test in tests] == ["test 0", "test 1", "test 2", "test 3"]
    assert [test.ordinal for test in tests] == [1, 2, 1, 2]
    assert (await claim(owner, made, "a")).state is ClaimState.DONE


def test_a_lease_that_was_renewed_lapses_later() -> None:
    run = Run(drawn(a_manifest(4, 1), PlanMode.QUEUE, 2).plan)
    first, second = run.claim("a"), run.claim("b")
    assert first.lease is not None
    assert second.lease is not None
    leases, execution_id = LeaseClock(timedelta(seconds=30)), run.state.execution_id
    leases.follow(run.state, run.now)

    leases.renew(HeldLease(execution_id, second.lease), run.now + timedelta(seconds=20))

    assert leases.next() == run.now + timedelta(seconds=30)
    assert leases.pop_due(run.now + timedelta(seconds=30)) == [HeldLease(execution_id, first.lease)]
    assert leases.next() == run.now + timedelta(seconds=50)


def test_a_lease_has_lapsed_until_its_runner_is_heard() -> None:
    run = Run(drawn(a_manifest(4, 1), PlanMode.QUEUE, 2).plan)
    held = HeldLease(run.state.execution_id, lease_of(run.claim("a")))
    leases, late = LeaseClock(timedelta(seconds=30)), run.now + timedelta(seconds=31)
    leases.follow(run.state, run.now)
    assert not leases.has_lapsed(held)
    assert leases.pop_due(late) == [held]
    assert leases.has_lapsed(held)

    leases.renew(held, late)

    assert not leases.has_lapsed(held)
    assert leases.pop_due(late + timedelta(seconds=31)) == [held]
    leases.grant(timedelta(seconds=5))
    assert not leases.has_lapsed(held)
    assert leases.next() == late + timedelta(seconds=66)


def test_a_lease_that_ended_does_not_lapse() -> None:
    run = Run(drawn(a_manifest(4, 1), PlanMode.QUEUE, 2).plan)
    run.claim("a")
    leases = LeaseClock(timedelta(seconds=30))
    leases.follow(run.state, run.now)
    run.give(orders.submit(run.made, "1", [], body="end"))
    leases.follow(run.state, run.now)

    assert leases.next() is None
