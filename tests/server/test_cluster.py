"""Two servers that share a Ray cluster, a Postgres and a bus."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import connect

from orchestrator.config import Settings
from server.stores import Stores, open_stores
from storage import postgres
from tests.gateway.conftest import Api
from tests.gateway.jobs import WAITS_ONCE, ended, job, registered, run, said, shards
from tests.patience import eventually
from tests.portal import Portal
from tests.running import RunningServer

RAY = Path(sys.executable).parent / "ray"
HOST = "127.0.0.2"  # Ray takes 127.0.0.1 for "whatever address this machine has in the network"
SECRET_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Any) -> Iterator[str]:
    """A Ray cluster of one node, started as an operator would, in a folder of its own."""
    port = unused_tcp_port_factory()
    folder = tmp_path_factory.mktemp("r")
    command = [str(RAY), "start", "--head", "--block", f"--port={port}", f"--node-ip-address={HOST}"]
    command += ["--include-dashboard=false", "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={folder}"]
    environment = pytest.MonkeyPatch()
    environment.setenv("RAY_AUTH_MODE", "token")
    environment.setenv("RAY_AUTH_TOKEN", uuid4().hex)
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    family = psutil.Process(head.pid)
    try:
        yield f"{HOST}:{port}"
    finally:
        environment.undo()
        everything = [*family.children(recursive=True), family]
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everything, timeout=10)
        head.wait(10)


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A Postgres and a Valkey that belong to none of the servers."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("managed") / "data")
    with Portal() as portal, portal.entered(open_stores(settings)) as stores:
        yield stores


@pytest.fixture(scope="module")
def public_port(unused_tcp_port_factory: Any) -> int:
    """Where the first of the servers listens: the actors of the cluster outlive it, and know no other address."""
    return int(unused_tcp_port_factory())


@pytest.fixture
def pair(managed: Stores, ray_address: str, public_port: int, tmp_path: Path) -> Iterator[list[RunningServer]]:
    shared = {
        "database_url": managed.database_url,
        "redis_url": managed.redis_url,
        "ray_address": ray_address,
        "secret_key": SECRET_KEY,
        "partitions": "2",
    }
    public_url = f"http://127.0.0.1:{public_port}"
    servers = [
        # The first one makes the actors, and they keep its settings.
        RunningServer(tmp_path / "a", port=str(public_port), public_url=public_url, shard_lease_seconds="5", **shared),
        RunningServer(tmp_path / "b", **shared),
    ]
    with servers[0], servers[1]:
        yield servers


async def test_servers_share_owners_and_readers_see_what_the_other_took_in(
    pair: list[RunningServer], managed: Stores
) -> None:
    here, there = pair
    assert {owner.pid for owner in here.owners()} == {owner.pid for owner in there.owners()}
    headers = {"Authorization": f"Bearer {here.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        execution_id = await create(session, here)
        address = here.url.replace("http", "ws", 1) + f"/api/executions/{execution_id}/live?after=0"
        async with connect(address, additional_headers=headers) as socket:
            await submit(session, there, execution_id, "1")
            names = [json.loads(await socket.recv())["event"] for _ in range(3)]
            assert names == ["execution.created", "execution.started", "shard.completed"]
        # The server that made the owners dies; they stay, and the other goes on with them.
        owners = {owner.pid for owner in here.owners()}
        here.kill()
        await submit(session, there, execution_id, "2")
        assert {owner.pid for owner in there.owners()} == owners
        # An owner dies; the server that is left brings it back.
        there.owners()[0].kill()

        async def all_back() -> bool:
            async with session.get(f"{there.url}/readyz") as answer:
                return answer.status == 200

        await eventually(all_back)
    connection = await postgres.connect(managed.database_url)
    status = await connection.fetchval("SELECT status FROM executions WHERE execution_id = $1", execution_id)
    await connection.close()
    assert status == "completed"


@contextmanager
def node(ray_address: str, host: str, log: Path) -> Iterator[psutil.Process]:
    """Another node of the cluster, with one browser; its first process."""
    command = [str(RAY), "start", "--block", f"--address={ray_address}", f"--node-ip-address={host}"]
    with log.open("w") as out:
        joined = subprocess.Popen(
            [*command, "--num-cpus=1", '--resources={"browser": 1}'], stdout=out, stderr=subprocess.STDOUT
        )
    family = psutil.Process(joined.pid)
    try:
        yield family
    finally:
        kill(family)
        joined.wait(10)


def kill(family: psutil.Process) -> None:
    everything = [*family.children(recursive=True), family]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()


async def test_a_shard_runs_on_another_node_when_its_own_has_died(
    pair: list[RunningServer], ray_address: str, tmp_path: Path
) -> None:
    code = WAITS_ONCE.replace("MARK", repr(str(tmp_path / "mark")))
    async with aiohttp.ClientSession() as session:
        api = Api(session, pair[0].url, pair[0].token)
        await registered(api, "browses", job(code, reports="*.xml", resources={"cpus": 0.5, "custom": {"browser": 1}}))
        with node(ray_address, "127.0.0.3", tmp_path / "first.log") as first:
            execution_id = await run(api, "browses", shards=1, retries=1)
            await said(api, execution_id, "waits as")
            with node(ray_address, "127.0.0.4", tmp_path / "second.log"):
                kill(first)
                state = await ended(api, execution_id)
        assert (state["status"], state["results"]["total"]) == ("completed", 1)
        assert [one["attempt"] for one in await shards(api, execution_id)] == [2]


async def create(session: aiohttp.ClientSession, server: RunningServer) -> str:
    body = {"testSuite": "smoke", "environment": "dev", "provider": "x", "configuration": {"shards": 2}}
    async with session.post(f"{server.url}/api/executions", json=body) as answer:
        assert answer.status == 201, await answer.text()
        execution_id: str = (await answer.json())["executionId"]
        return execution_id


async def submit(session: aiohttp.ClientSession, server: RunningServer, execution_id: str, shard: str) -> None:
    body = {"executionId": execution_id, "shardId": shard, "status": "completed"}
    async with asyncio.timeout(60), session.post(f"{server.url}/api/results", json=body) as answer:
        assert answer.status == 201, await answer.text()
