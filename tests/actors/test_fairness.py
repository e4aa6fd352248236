"""Two tenants before one owner: whoever floods it holds up itself alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors import mailbox
from actors.execution_owner import ExecutionOwner, OwnerSettings
from actors.mailbox import Mailbox
from orchestrator.executions.commands import Claim, ClaimState, Create, Receipt
from orchestrator.executions.plan import PlanMode
from server.stores import Stores
from tests import orders
from tests.clock import Clock
from tests.dealt import a_manifest, drawn, make_plan

BATCH = 16
FLOOD = 20 * BATCH


@pytest.fixture
async def box(stores: Stores, partition: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mailbox]:
    """The way to one real owner, in small batches."""
    monkeypatch.setattr(mailbox, "BATCH_COMMANDS", BATCH)
    settings = OwnerSettings(lease_seconds=30)
    owner = ExecutionOwner(partition, stores.database_url, stores.redis_url, settings, Clock())
    opened = Mailbox([owner], wait_seconds=60)
    yield opened
    await opened.close()
    await owner.close()


async def planned(box: Mailbox, tenant: int) -> Create:
    made = orders.create(tenant=tenant, shards=2, timeout=3_600_000)
    await box.send(made)
    await box.send(make_plan(made.execution_id, tenant, drawn(a_manifest(40, 5), PlanMode.QUEUE, 2)))
    return made


def claim(made: Create, runner: str) -> Claim:
    return Claim(
        command_id=orders.command_id(),
        tenant_id=made.tenant_id,
        execution_id=made.execution_id,
        runner_id=runner,
        shard_id=None,
        done=None,
    )


async def test_claims_of_a_tenant_are_served_in_turn_while_another_floods_their_owner(
    box: Mailbox, tenant: int, other_tenant: int
) -> None:
    flooding, calm = await planned(box, tenant), await planned(box, other_tenant)
    flood = [asyncio.create_task(box.send(claim(flooding, f"runner {number}"))) for number in range(FLOOD)]
    await asyncio.sleep(0)  # they are all posted now, and the first batch is under way

    served: list[tuple[Receipt, int]] = []
    for runner in ("a", "b", "a"):
        receipt = await box.send(claim(calm, runner))
        served.append((receipt, sum(task.done() for task in flood)))

    # Each is in the batch after the one that was under way when it came.
    assert all(done <= 2 * BATCH * turn for turn, (_, done) in enumerate(served, 1))
    claims = [receipt.claimed for receipt, _ in served]
    assert [one.state for one in claims if one is not None] == [ClaimState.LEASED] * 3
    received = await asyncio.gather(*flood)
    states = [one.claimed.state for one in received if one.claimed is not None]
    assert (len(states), states.count(ClaimState.LEASED)) == (FLOOD, 2)
