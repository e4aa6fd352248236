"""Runners are killed at random under load, and owners and the gateway with them: every planned test is reported, none
is counted twice, and the execution ends."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from storage import postgres
from tests.faults import runner
from tests.gateway.conftest import Api
from tests.patience import eventually
from tests.running import RunningServer

RUNNERS = 6
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


async def _reported(api: Api, execution_id: str, tests: int) -> None:
    async def enough() -> bool:
        state = await api.state(execution_id)
        return bool(state["plan"]["reported"] >= tests)

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
    assert ended["results"]["total"] == len(tests)
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
    assert sorted((row["file"], row["title"]) for row in counted) == sorted(
        (one["file"], one["title"]) for one in tests
    )
    assert seqs == list(range(1, len(seqs) + 1))
    report(f"{KILLS} runners killed, {lapsed} leases lapsed, {len(counted)} tests counted once, {late} reported late")
