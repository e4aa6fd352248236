"""Under 16 clients that retry, something is killed. Afterwards everything that was acknowledged counts exactly once,
every execution has ended and is in history once, and every reader that resumed has had each event once and in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from actors.execution_owner import ExecutionOwner, OwnerSettings
from storage import postgres
from storage.embedded import running_database_url
from tests import orders
from tests.faults import history
from tests.faults.traffic import Traffic
from tests.faults.watchers import Watcher
from tests.running import RunningServer

WATCHED = 24


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server to be maltreated."""
    with RunningServer(tmp_path_factory.mktemp("faults") / "data", partitions="2", request_wait_seconds="20") as server:
        yield server


class Ordeal:
    """Traffic and live readers while something is broken."""

    def __init__(self, server: RunningServer, report: Callable[[str], None]) -> None:
        self._server = server
        self._report = report
        self._watchers: dict[str, tuple[Watcher, asyncio.Task[None]]] = {}
        self.traffic = Traffic(server.url, server.token, self._begun)

    def _begun(self, execution_id: str) -> None:
        if len(self._watchers) < WATCHED:
            watcher = Watcher(self._server.url, self._server.token, execution_id)
            self._watchers[execution_id] = (watcher, asyncio.create_task(watcher.watch()))

    async def undergo(self, disturb: Callable[[], Awaitable[None]]) -> None:
        await self.traffic.run(disturb)
        async with asyncio.timeout(60):
            await asyncio.gather(*(task for _, task in self._watchers.values()))
        await self._check()

    async def _check(self) -> None:
        connection = await postgres.connect(self._server.database_url)
        acknowledged = 0
        for promised in self.traffic.promised:
            execution_id = promised.execution_id
            row = await connection.fetchrow(
                "SELECT status, total FROM executions WHERE execution_id = $1", execution_id
            )
            assert row is not None, "an acknowledged execution is there"
            assert (row["status"], row["total"]) == ("completed", sum(promised.tests.values()))
            stored = await connection.fetch(
                "SELECT submission_id, tests, (SELECT count(*) FROM tests t WHERE t.submission_id = b.submission_id)"
                " FROM submissions b WHERE execution_id = $1",
                execution_id,
            )
            assert {submission["submission_id"] for submission in stored} == promised.submissions
            assert all(submission["tests"] == submission["count"] for submission in stored)
            assert len(stored) == 2 * promised.shards - 1, "nothing was stored twice"
            log = await connection.fetch(
                "SELECT seq, name FROM events WHERE execution_id = $1 ORDER BY seq", execution_id
            )
            assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
            assert [event["name"] for event in log].count("execution.completed") == 1
            if execution_id in self._watchers:
                assert self._watchers[execution_id][0].seen == list(range(1, len(log) + 1))
            acknowledged += len(stored)
        await history.check(connection)
        await connection.close()
        cuts = sum(watcher.cuts for watcher, _ in self._watchers.values())
        self._report(f"{acknowledged} submissions acknowledged and counted once, {cuts} cuts of live readers resumed")


@pytest.fixture
async def ordeal(running: RunningServer, report: Callable[[str], None]) -> Ordeal:
    return Ordeal(running, report)


async def test_each_owner_is_killed_in_turn(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for owner in running.owners():
            owner.kill()
            await ordeal.traffic.progress(30)

    assert len(running.owners()) == 2
    await ordeal.undergo(disturb)


async def test_the_gateway_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        running.kill()
        await asyncio.to_thread(running.start)

    await ordeal.undergo(disturb)


async def test_everything_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        running.kill_all()
        await asyncio.to_thread(running.start)

    await ordeal.undergo(disturb)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
async def test_postgres_goes_and_comes_back(running: RunningServer, ordeal: Ordeal, how: signal.Signals) -> None:
    async def disturb() -> None:
        process = running.postmaster()
        os.kill(process.pid, how)
        await asyncio.to_thread(process.wait, 30)

    await ordeal.undergo(disturb)


async def test_valkey_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for _ in range(2):
            (await running.valkey()).kill()
            await ordeal.traffic.progress(50)

    await ordeal.undergo(disturb)


async def test_two_owners_of_each_partition_at_once(running: RunningServer, ordeal: Ordeal) -> None:
    """Owners outside the server claim its partitions and write, again and again; only one of two ever can."""

    async def disturb() -> None:
        url = running_database_url(running.data_dir)
        for _ in range(5):
            for partition in range(2):
                rival = ExecutionOwner(partition, url, running.redis_url, OwnerSettings())
                await rival.handle(msgspec.msgpack.encode([orders.create(tenant=1, timeout=1000)]))
                await rival.close()
            await ordeal.traffic.progress(20)

    await ordeal.undergo(disturb)
