"""Shards that are to be started, and a cluster that has no room for them."""

import asyncio
from contextlib import suppress

from actors.shard_runner import RunnerSettings
from actors.shard_scheduler import Runner, SchedulerSettings, ShardScheduler
from orchestrator.jobs.model import Resources, ShardState
from orchestrator.jobs.queue import Node
from server.stores import Stores
from storage import job_shards
from storage.postgres import DirectConnection
from tests.patience import eventually
from tests.storage.test_job_shards import managed


class SmallNodes:
    """Two nodes that together, but not alone, have room for a shard."""

    async def look(self) -> list[Node]:
        half = {"CPU": 0.5}
        return [Node(half, half), Node(half, half)]

    def start(self, name: str, resources: Resources, settings: RunnerSettings) -> Runner:
        raise AssertionError(f"{name} fits no node: {resources}, {settings}")


async def test_a_shard_that_no_node_could_ever_hold_is_given_up_with_the_reason(
    stores: Stores, connection: DirectConnection, tenant: int
) -> None:
    execution_id = await managed(connection, tenant, 1)
    runner = RunnerSettings(database_url=stores.database_url, lease_seconds=0.2, grace_seconds=1, folders=())
    settings = SchedulerSettings(url="http://127.0.0.1:9", secret_key=b"k" * 32, tenant_shards=0, runner=runner)
    working = asyncio.create_task(ShardScheduler(0, stores.database_url, settings, SmallNodes()).live())

    async def state_and_reason() -> tuple[ShardState, str | None]:
        [shard] = await job_shards.of_execution(connection, execution_id)
        return shard.state, shard.reason

    reason = "No node of the cluster has so much: CPU 1"

    async def is_told() -> bool:
        return await state_and_reason() == (ShardState.WAITING, reason)

    async def is_given_up() -> bool:
        return await state_and_reason() == (ShardState.LOST, reason)

    await eventually(is_told)
    await eventually(is_given_up)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
