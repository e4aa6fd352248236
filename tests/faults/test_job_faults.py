"""Managed shards while everything is killed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.gateway.conftest import Api
from tests.gateway.jobs import WAITS_ONCE, ended, job, output, registered, run, said, shards
from tests.patience import eventually
from tests.running import RunningServer


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of the test's own, whose shards are run elsewhere after two seconds of silence."""
    with RunningServer(tmp_path / "data", shard_lease_seconds="2", partitions="1") as server:
        yield server


@pytest.fixture
async def api(frail: RunningServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, frail.url, frail.token)


async def waiting(api: Api, name: str, mark: Path) -> tuple[str, psutil.Process]:
    """An execution with one retry whose command waits, and that command."""
    await registered(api, name, job(WAITS_ONCE.replace("MARK", repr(str(mark))), reports="*.xml"))
    execution_id = await run(api, name, shards=1, retries=1)
    told = await said(api, execution_id, "waits as")
    return execution_id, psutil.Process(int(told.rpartition("waits as ")[2].split()[0]))


async def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def was_run_again(api: Api, execution_id: str) -> None:
    state = await ended(api, execution_id)
    assert (state["status"], state["results"]["total"], state["shardResults"][0]["attempts"]) == ("completed", 1, 1)
    assert [one["attempt"] for one in await shards(api, execution_id)] == [2]
    told = await output(api, execution_id)
    assert told.index("attempt 1 on") < told.index("waits as") < told.index("attempt 2 on")


async def test_a_shard_is_run_again_and_counted_once_whatever_is_killed(
    frail: RunningServer, api: Api, tmp_path: Path
) -> None:
    execution_id, command = await waiting(api, "scheduler", tmp_path / "first")
    [scheduler] = [one for one in frail.family() if "ShardScheduler" in " ".join(one.cmdline())]
    scheduler.kill()
    await eventually(lambda: is_gone(command))
    await was_run_again(api, execution_id)

    execution_id, command = await waiting(api, "everything", tmp_path / "second")
    frail.kill_all()
    await eventually(lambda: is_gone(command))
    frail.start()
    await was_run_again(api, execution_id)
