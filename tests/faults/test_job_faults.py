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


async def test_a_shard_is_run_again_and_counted_once_when_everything_was_killed(
    frail: RunningServer, api: Api, tmp_path: Path
) -> None:
    code = WAITS_ONCE.replace("MARK", repr(str(tmp_path / "mark")))
    await registered(api, "waits", job(code, reports="*.xml"))
    execution_id = await run(api, "waits", shards=1, retries=1)
    told = await said(api, execution_id, "waits as")
    command = psutil.Process(int(told.rpartition("waits as ")[2].split()[0]))

    frail.kill_all()

    async def is_gone() -> bool:
        return not command.is_running() or command.status() == psutil.STATUS_ZOMBIE

    await eventually(is_gone)
    frail.start()
    state = await ended(api, execution_id)
    assert (state["status"], state["results"]["total"], state["shardResults"][0]["attempts"]) == ("completed", 1, 1)
    assert [one["attempt"] for one in await shards(api, execution_id)] == [2]
    told = await output(api, execution_id)
    assert told.index("attempt 1 on") < told.index("waits as") < told.index("attempt 2 on")
