"""Runners are killed at random under load, and owners and the gateway with them: every planned test is reported, none
is counted twice, and the execution ends."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from storage import postgres
from tests.faults import runner
from tests.gateway.conftest import Api
from tests.patience import eventually
from tests.running import RunningServer
from tests.sdk.conftest import Server
from tests.sdk.nodes import ended, node

RUNNERS = 6
NODES = 4
KILLS = 25  # in each of two modes
TESTS_BETWEEN_KILLS = 25


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose leases are short."""
    folder = tmp_path_factory.mktemp("runner-faults") / "data"
    with RunningServer(folder, partitions="2", shard_lease_seconds="1", request_wait_seconds="20") as server:
        yield server


@pytest.fixture
async def api(running: RunningServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, auto_decompress=False) as session:
        yield Api(session, running.url, running.token)


class Crew:
    """Some runners; whoever is killed is replaced."""

    def __init__(self, server: RunningServer, execution_id: str) -> None:
        self._command = [sys.executable, str(Path(runner.__file__)), server.url, server.token, execution_id]
        self._random = random.Random(1125)  # noqa: S311 - the same victims in every run
        self._runners = [self._start() for _ in range(RUNNERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command)

    def kill_one(self) -> None:
        victim = self._random.choice(self._runners)
        victim.kill()
        victim.wait()
        self._runners.remove(victim)
        self._runners.append(self._start())

    async def finish(self) -> None:
        """Wait until all have left by themselves."""
        async with asyncio.timeout(120):
            for one in self._runners:
                assert await asyncio.to_thread(one.wait) == 0

    def stop(self) -> None:
        for one in self._runners:
            one.kill()
            one.wait()


@pytest.mark.parametrize("mode", ["queue", "static"])
async def test_runners_are_killed_and_every_test_is_reported_once(
    running: RunningServer, api: Api, report: Callable[[str], None], mode: str
) -> None:
    tests = [
        {"file": f"tests/test_{file}.py", "title": f"test_{number}"} for file in range(KILLS) for number in range(40)
    ]
    execution_id = str((await api.create(configuration={"shards": RUNNERS, "retries": 100}))["executionId"])
    plan = await api.send("PUT", f"/api/executions/{execution_id}/plan", {"mode": mode, "tests": tests})
    assert plan.status == 201, plan.raw
    crew = Crew(running, execution_id)
    try:
        for kill in range(KILLS):
            await _reported(api, execution_id, (kill + 1) * TESTS_BETWEEN_KILLS)
            crew.kill_one()
            if kill == KILLS // 3:
                running.owners()[0].kill()
                running.owners()[-1].kill()
            if kill == KILLS // 2:
                running.kill()
                await asyncio.to_thread(running.start)
        await crew.finish()
    finally:
        crew.stop()
    await _check(running, api, execution_id, tests, report)


SUITE = """
import time
import pytest

@pytest.mark.parametrize("number", range(10))
def test_slow(number):
    time.sleep(0.05)
"""
FILES = 16


def _kill(victim: "subprocess.Popen[str]", *, whole: bool) -> None:
    """Kill a node's pytest; of a whole node the process beside it, too."""
    if whole:
        for companion in psutil.Process(victim.pid).children():
            companion.kill()
    victim.kill()


@pytest.mark.parametrize("whole", [True, False], ids=["nodes", "their pytest only"])
@pytest.mark.parametrize("mode", ["queue", "static"])
async def test_nodes_are_killed_until_one_is_left_and_every_test_is_reported_once(
    running: RunningServer,
    api: Api,
    report: Callable[[str], None],
    tmp_path: Path,
    mode: str,
    *,
    whole: bool,
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    files = [f"test_{number:02}.py" for number in range(FILES)]
    for file in files:
        (tmp_path / file).write_text(SUITE)
    tests = [{"file": file, "title": f"test_slow[{number}]"} for file in files for number in range(10)]
    execution_id = str((await api.create(configuration={"shards": NODES, "retries": 3}))["executionId"])
    chance = random.Random(1125)  # noqa: S311 - as above
    with ExitStack() as stack:
        server = Server(running.url, running.token)
        options = ("--tms-mode", mode)
        nodes = [
            stack.enter_context(node(server, tmp_path, *options, TMS_EXECUTION=execution_id)) for _ in range(NODES)
        ]
        while len(nodes) > 1:
            await _reported(api, execution_id, 25 * (NODES - len(nodes)) + 5)
            victim = nodes.pop(chance.randrange(len(nodes)))
            _kill(victim, whole=whole)
        code, output = await asyncio.to_thread(ended, nodes.pop())
    await _check(running, api, execution_id, tests, report)
    failed = (await api.state(execution_id))["results"]["failed"]
    # Where a pytest alone is killed, what is beside it says that the test has failed in which it was.
    assert failed == 0 if whole else failed <= NODES - 1
    assert code == (1 if failed else 0), output


async def _reported(api: Api, execution_id: str, tests: int) -> None:
    async def enough() -> bool:
        state = await api.state(execution_id)
        return "plan" in state and bool(state["plan"]["reported"] >= tests)

    await eventually(enough, seconds=60)


async def _check(
    running: RunningServer, api: Api, execution_id: str, tests: list[Any], report: Callable[[str], None]
) -> None:
    async def has_ended() -> bool:
        return bool((await api.state(execution_id))["status"] != "running")

    await eventually(has_ended, seconds=30)
    ended = await api.state(execution_id)
    assert (ended["status"], ended["reasonCode"]) == ("completed", None)
    assert (ended["plan"]["reported"], ended["plan"]["missing"]) == (len(tests), 0)
    # A pytest that is killed between two tests is reported as well, as something that nobody has planned.
    assert ended["results"]["total"] == len(tests) + ended["plan"]["unexpected"]
    connection = await postgres.connect(running.database_url)
    counted = await connection.fetch(
        "SELECT t.file, t.title FROM shards s"
        " JOIN submissions b ON b.execution_id = s.execution_id AND b.root_id = s.submission_id"
        " JOIN tests t ON t.submission_id = b.submission_id WHERE s.execution_id = $1",
        execution_id,
    )
    late = await connection.fetchval(
        "SELECT coalesce(sum(tests), 0) FROM submissions WHERE execution_id = $1 AND attempt IS NULL", execution_id
    )
    seqs = [
        row["seq"]
        for row in await connection.fetch("SELECT seq FROM events WHERE execution_id = $1 ORDER BY seq", execution_id)
    ]
    lapsed = await connection.fetchval(
        "SELECT count(*) FROM events WHERE execution_id = $1 AND name = 'shard.released'"
        " AND data->>'reason' = 'lapsed'",
        execution_id,
    )
    await connection.close()
    assert len(counted) == ended["results"]["total"]
    assert sorted((row["file"], row["title"]) for row in counted if row["file"]) == sorted(
        (one["file"], one["title"]) for one in tests
    )
    assert seqs == list(range(1, len(seqs) + 1))
    report(f"{lapsed} leases lapsed, {len(counted)} tests counted once, {late} reported late")
