"""Shards that the server runs: whose turn it is, and who may still write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from orchestrator.jobs.model import Definition, ShardState
from storage import identity, job_output, job_shards, jobs, retention
from storage.job_shards import Key, Standing
from storage.jobs import Version
from storage.postgres import DirectConnection
from tests.registrations import NOW

LEASE = timedelta(seconds=30)


@pytest.fixture
async def undone(connection: DirectConnection) -> AsyncIterator[DirectConnection]:
    """A connection whose changes are undone after the test."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


async def managed(connection: DirectConnection, tenant: int, shards: int, *, retries: int = 0, name: str = "a") -> str:
    """An execution whose shards wait."""
    execution_id, job_id = f"exec_{tenant}_{name}", f"job_{tenant}_{name}"
    version = Version(definition=Definition(command=("run",)), environment=b"", fingerprint=b"")
    await jobs.create(connection, job_id, tenant, name, version, by="tok", now=NOW)
    configuration = msgspec.json.encode({"shards": shards, "retries": retries}).decode()
    await connection.execute(
        "INSERT INTO executions (execution_id, tenant_id, partition, status, seq, frames, test_suite, environment,"
        " provider, configuration, base_url, created_at, deadline, total, passed, failed, skipped, flaky)"
        " VALUES ($1, $2, 0, 'created', 1, 0, 'smoke', 'dev', 'managed', $3, 'http://x', $4, $4, 0, 0, 0, 0, 0)",
        *(execution_id, tenant, configuration, NOW),
    )
    await connection.execute(
        "INSERT INTO job_runs (execution_id, tenant_id, job_id, version, parameters) VALUES ($1, $2, $3, 1, '{}')",
        *(execution_id, tenant, job_id),
    )
    for number in range(1, shards + 1):
        await connection.execute(
            "INSERT INTO shards (execution_id, number, tenant_id, status, total, passed, failed, skipped, flaky,"
            " attempts, streamed) VALUES ($1, $2, $3, 'pending', 0, 0, 0, 0, 0, 0, false)",
            *(execution_id, number, tenant),
        )
        await connection.execute(
            "INSERT INTO job_shards (execution_id, shard, tenant_id, state, queued_at)"
            " VALUES ($1, $2, $3, 'waiting', $4)",
            *(execution_id, number, tenant, NOW),
        )
    return execution_id


async def started(connection: DirectConnection, execution_id: str, shard: int = 1) -> Key:
    [placed] = await job_shards.place(connection, [(execution_id, shard)])
    assert await job_shards.begin(connection, placed.key, "node")
    return placed.key


async def state(connection: DirectConnection, execution_id: str, shard: int = 1) -> ShardState:
    return (await job_shards.of_execution(connection, execution_id))[shard - 1].state


async def turns(connection: DirectConnection, limit: int) -> list[tuple[str, int]]:
    found = await job_shards.candidates(connection, limit, 100)
    return [(one.execution_id, one.shard) for one in found]


async def test_tenants_take_turns_and_none_has_more_than_its_limit(
    undone: DirectConnection, tenant: int, other_tenant: int
) -> None:
    large = await managed(undone, tenant, 5)
    small = await managed(undone, other_tenant, 1)
    assert await turns(undone, 2) == [*sorted([(large, 1), (small, 1)]), (large, 2)]
    await job_shards.place(undone, [(large, 1), (large, 2)])
    assert await turns(undone, 2) == [(small, 1)]
    assert (await turns(undone, 0))[:2] == [(small, 1), (large, 3)]


async def test_a_shard_is_taken_once_and_begun_once(undone: DirectConnection, tenant: int) -> None:
    execution_id = await managed(undone, tenant, 1)
    [placed] = await job_shards.place(undone, [(execution_id, 1)])
    assert await job_shards.place(undone, [(execution_id, 1)]) == []
    assert (placed.key, placed.shards, placed.tenant_id) == (Key(execution_id, 1, 1), 1, tenant)
    assert await job_shards.begin(undone, placed.key, "node")
    assert not await job_shards.begin(undone, placed.key, "node")


async def test_a_dead_runners_shard_waits_again_and_the_former_attempt_writes_nothing(
    undone: DirectConnection, tenant: int
) -> None:
    execution_id = await managed(undone, tenant, 1, retries=1)
    first = await started(undone, execution_id)
    assert await job_shards.beat(undone, first) is Standing.GO_ON
    assert await job_output.append(undone, first, 0, "one")

    await job_shards.lapse(undone, first, "it died")
    assert await state(undone, execution_id) is ShardState.WAITING
    second = await started(undone, execution_id)

    assert second.attempt == 2
    assert await job_shards.beat(undone, first) is Standing.STOP
    assert not await job_output.append(undone, first, 3, "late")
    await job_shards.end(undone, first, 0, None)
    await job_shards.lapse(undone, first, "again")
    assert await state(undone, execution_id) is ShardState.RUNNING

    await job_shards.lapse(undone, second, "it died too")
    assert await state(undone, execution_id) is ShardState.LOST
    [lost] = [one for one in await job_shards.lost(undone) if one.key.execution_id == execution_id]
    assert (lost.key, lost.reason) == (second, "it died too")


async def test_one_that_never_began_waits_again_for_nothing(undone: DirectConnection, tenant: int) -> None:
    execution_id = await managed(undone, tenant, 1, retries=0)
    [placed] = await job_shards.place(undone, [(execution_id, 1)])
    assert await job_shards.renew(undone, [placed.key]) == {placed.key}
    await job_shards.lapse(undone, placed.key, "its node went away")
    assert await state(undone, execution_id) is ShardState.WAITING
    assert await job_shards.renew(undone, [placed.key]) == set()


async def test_the_silent_lose_their_shards_and_those_heard_of_keep_them(undone: DirectConnection, tenant: int) -> None:
    execution_id = await managed(undone, tenant, 2, retries=1)
    silent, heard = [await started(undone, execution_id, shard) for shard in (1, 2)]
    await undone.execute("UPDATE job_shards SET seen_at = now() - interval '1 minute'")
    await job_shards.beat(undone, heard)
    await job_shards.lapse_silent(undone, LEASE)
    assert [await state(undone, execution_id, shard) for shard in (1, 2)] == [ShardState.WAITING, ShardState.RUNNING]
    assert await job_shards.beat(undone, silent) is Standing.STOP


@pytest.mark.parametrize(
    ("change", "standing"),
    [
        ("status = 'cancelled', ended_at = now(), deadline = NULL, reason_code = 'cancelled_by_user'", Standing.STOP),
        ("status = 'failed', ended_at = now(), deadline = NULL, reason_code = 'timeout'", Standing.STOP),
        ("status = 'completed', started_at = now(), ended_at = now(), deadline = NULL", Standing.FINISH),
    ],
)
async def test_the_end_of_an_execution_ends_what_waits_and_tells_what_runs(
    undone: DirectConnection, tenant: int, change: str, standing: Standing
) -> None:
    execution_id = await managed(undone, tenant, 2, retries=5)
    running = await started(undone, execution_id, 1)
    await undone.execute(f"UPDATE executions SET {change} WHERE execution_id = $1", execution_id)  # noqa: S608 - the test's own words
    await job_shards.end_needless(undone)
    assert await state(undone, execution_id, 2) is ShardState.ENDED
    assert await job_shards.beat(undone, running) is standing
    await job_shards.lapse(undone, running, "it died")
    assert await state(undone, execution_id, 1) is ShardState.ENDED


async def test_a_shard_whose_results_came_is_not_run_again(undone: DirectConnection, tenant: int) -> None:
    execution_id = await managed(undone, tenant, 1, retries=5)
    key = await started(undone, execution_id)
    await undone.execute(
        "UPDATE shards SET status = 'completed', ended_at = now() WHERE execution_id = $1", execution_id
    )
    await job_shards.lapse(undone, key, "it died after its last word")
    assert await state(undone, execution_id) is ShardState.ENDED


async def test_a_shards_token_is_good_until_soon_after_its_execution_has_ended(
    undone: DirectConnection, tenant: int
) -> None:
    execution_id = await managed(undone, tenant, 1)
    assert await identity.tenant_of_managed(undone, execution_id, NOW) == tenant
    await undone.execute(
        "UPDATE executions SET status = 'cancelled', ended_at = $2, deadline = NULL, reason_code = 'cancelled_by_user'"
        " WHERE execution_id = $1",
        *(execution_id, NOW),
    )
    assert await identity.tenant_of_managed(undone, execution_id, NOW - timedelta(seconds=1)) == tenant
    assert await identity.tenant_of_managed(undone, execution_id, NOW) is None
    await undone.execute("DELETE FROM job_runs WHERE execution_id = $1", execution_id)
    assert await identity.tenant_of_managed(undone, execution_id, NOW - timedelta(seconds=1)) is None


async def test_output_is_read_from_any_byte_on_and_forgotten_when_it_is_old(
    undone: DirectConnection, tenant: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_output, "PAGE_PIECES", 2)
    monkeypatch.setattr(retention, "BATCH_OUTPUT", 2)
    execution_id = await managed(undone, tenant, 1)
    key = await started(undone, execution_id)
    whole = "".join(f"größe {number}\n" for number in range(5))
    for line in whole.splitlines(keepends=True):
        await job_output.append(undone, key, await job_output.size(undone, execution_id, 1), line)

    @asynccontextmanager
    async def connected() -> AsyncIterator[DirectConnection]:
        yield undone

    async def read(after: int) -> bytes:
        return b"".join([piece async for piece in job_output.pieces(connected, execution_id, 1, after)])

    content = whole.encode()
    assert [await read(after) for after in (0, 3, 10, len(content), 10_000)] == [
        *(content, content[3:], content[10:], b"", b"")
    ]
    await retention.forget_output(undone, datetime.now(UTC), 0)
    assert await job_output.shards(undone, execution_id) == [1]
    await retention.forget_output(undone, datetime.now(UTC) + timedelta(days=100), 1)
    assert await job_output.shards(undone, execution_id) == []
