"""How a server stops, and that it starts again on what it left, whatever ended it."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.patience import eventually
from tests.running import ROOT, RunningServer
from tests.server.conftest import command, environment
from tms_sdk import TMSClient

TWO_SHARDS = {
    "testSuite": "smoke",
    "environment": "dev",
    "provider": "operation",
    "configuration": {"shards": 2},
}
GOING_AWAY = 1001


@pytest.fixture
def running(data_dir: Path) -> Iterator[RunningServer]:
    """A server of the test's own."""
    with RunningServer(data_dir) as server:
        yield server


def outcomes_of(shard_id: str) -> list[dict[str, Any]]:
    return [{"title": f"test {number} of {shard_id}", "status": "passed"} for number in range(int(shard_id) + 2)]


def begun(server: RunningServer) -> str:
    """An execution whose first shard of two has reported."""
    with TMSClient(server.token, server.url) as client:
        execution_id = client.create_execution(TWO_SHARDS)["executionId"]
        client.submit_results(execution_id, "1", {"tests": outcomes_of("1")})
    return execution_id


def has_all(server: RunningServer, execution_id: str) -> bool:
    """Whether the server has both shards' results, once, in an execution that has ended."""
    with TMSClient(server.token, server.url) as client:
        execution = client.get_execution(execution_id)
        titles = [test["title"] for test in client.tests(execution_id)["tests"]]
        events = client.events(execution_id)["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert titles == [test["title"] for shard_id in "12" for test in outcomes_of(shard_id)]
    return (execution["status"], execution["results"]["total"]) == ("completed", len(titles))


def ray_folder(pid: int) -> Path:
    return Path(f"/tmp/tms-ray-{pid}")


def left_behind(pid: int, data_dir: Path) -> list[str]:
    """Processes that belong to a server which has ended, by what their commands name."""
    commands = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in commands if str(ray_folder(pid)) in line or str(data_dir) in line]


class HalfSent:
    """A submission of which the server has the headers and wants the body."""

    def __init__(self, server: RunningServer, execution_id: str) -> None:
        self._server = server
        body = {"executionId": execution_id, "shardId": "2", "status": "completed", "tests": outcomes_of("2")}
        self._body = json.dumps(body).encode()

    async def begin(self) -> None:
        host, port = self._server.url.removeprefix("http://").split(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        head = [
            "POST /api/results HTTP/1.1",
            f"Host: {host}:{port}",
            f"Authorization: Bearer {self._server.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(self._body)}",
            "Expect: 100-continue",
            "Connection: close",
        ]
        self._writer.write("\r\n".join([*head, "", ""]).encode())
        assert await self._reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        self._writer.write(self._body[:20])
        await self._writer.drain()

    async def finish(self) -> bytes:
        """Send the rest; returns the answer's first line."""
        self._writer.write(self._body[20:])
        answer = await self._reader.read()
        self._writer.close()
        return answer.splitlines()[0]


async def test_a_stop_finishes_what_is_under_way_and_leaves_nothing_behind(running: RunningServer) -> None:
    execution_id = begun(running)
    headers = {"Authorization": f"Bearer {running.token}"}
    live = f"{running.url}/api/executions/{execution_id}/live"
    half_sent = HalfSent(running, execution_id)
    async with (
        connect(live.replace("http", "ws", 1), additional_headers=headers) as websocket,
        aiohttp.ClientSession(headers=headers | {"Accept": "text/event-stream"}) as session,
        session.get(live) as stream,
    ):
        assert json.loads(await websocket.recv())["type"] == "snapshot"
        assert await stream.content.readline() == b"retry: 1000\n"
        await half_sent.begin()

        pid = running.pid
        stopping = asyncio.create_task(asyncio.to_thread(running.stop))
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == GOING_AWAY
        await stream.content.read()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*running.url.removeprefix("http://").split(":"))
        assert not stopping.done()
        assert await half_sent.finish() == b"HTTP/1.1 201 Created"
        assert await stopping == 0

    assert running.is_gone()
    assert left_behind(pid, running.data_dir) == []
    assert not ray_folder(pid).exists()
    events = [json.loads(line)["event"] for line in running.log.splitlines()]
    assert (events[-1], "stopping" in events) == ("stopped", True)

    running.start()
    assert has_all(running, execution_id)


def test_after_a_kill_of_everything_it_goes_on_where_it_was(running: RunningServer) -> None:
    execution_id = begun(running)
    killed = running.pid
    running.kill_all()
    running.start()
    assert not ray_folder(killed).exists()
    with TMSClient(running.token, running.url) as client:
        assert client.get_execution(execution_id)["results"]["total"] == len(outcomes_of("1"))
        client.submit_results(execution_id, "2", {"tests": outcomes_of("2")})
    assert has_all(running, execution_id)


@contextmanager
def started(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, as a shell's foreground job, logging to `serve.log`."""
    data_dir.mkdir()
    with (data_dir / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command("serve"),
            cwd=ROOT,
            env=environment(data_dir=data_dir, port=0),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_ctrl_c_stops_it_without_a_word_too_much(data_dir: Path) -> None:
    with started(data_dir) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        token = next(line for line in lines if line.startswith("Admin token, shown this once: tms_"))
        next(line for line in lines if line.startswith("Serving at http://127.0.0.1:"))
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
    log = (data_dir / "serve.log").read_text()
    assert all(json.loads(line) for line in log.splitlines())
    assert token.split()[-1] not in log
    assert left_behind(process.pid, data_dir) == []


@pytest.mark.parametrize("moment", ["listening", "postgres is ready"])
async def test_a_stop_while_it_starts(data_dir: Path, moment: str) -> None:
    with started(data_dir) as process:

        async def has_come() -> bool:
            if moment == "listening":
                return any(
                    connection.status == "LISTEN" for connection in psutil.Process(process.pid).net_connections()
                )
            return '"server": "postgres"' in (data_dir / "serve.log").read_text()

        await eventually(has_come, 60)
        process.terminate()
        assert process.wait(90) == 0, (data_dir / "serve.log").read_text()
    assert left_behind(process.pid, data_dir) == []
    assert not ray_folder(process.pid).exists()
