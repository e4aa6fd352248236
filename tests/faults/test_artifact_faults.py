"""Files against `kill -9`: what was answered is there whole, what was not is sent again, and nothing else is left."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from orchestrator.artifacts.model import PART_BYTES, UNFINISHED_HOURS
from storage import artifact_sweep, postgres
from storage.blobs import Blobs
from tests.gateway.conftest import Api
from tests.gateway.files import begin, listed, path_of, send_part, sent
from tests.patience import eventually
from tests.running import RunningServer

CONTENT = os.urandom(2 * PART_BYTES + 1)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that the test may kill."""
    with RunningServer(tmp_path / "data") as running:
        yield running


async def test_files_survive_a_kill_in_the_middle_of_their_upload(killed: RunningServer) -> None:
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, auto_decompress=False) as session:
        api = Api(session, killed.url, killed.token)
        execution_id = await api.created()
        whole = await sent(api, execution_id, CONTENT, "answered.log")
        upload = (await begin(api, execution_id, CONTENT[::-1], "resumed.log")).json
        await send_part(api, upload, 2, CONTENT[::-1])

        await killed_while(killed, api, execution_id)
        killed.start()

        assert (await api.with_token(None).get((await api.get(path_of(whole))).json["url"])).raw == CONTENT
        again = (await begin(api, execution_id, CONTENT[::-1], "resumed.log")).json
        assert (again["artifactId"], again["parts"]["missing"]) == (upload["artifactId"], [1, 3])
        for number in (1, 3):
            assert (await send_part(api, again, number, CONTENT[::-1])).status == 200
        done = (await api.post(f"{path_of(again)}/complete")).json
        assert (await api.get(done["url"])).raw == CONTENT[::-1]
        assert await listed(api, execution_id) == ["answered.log", "resumed.log"]
    await sweep_much_later(killed)
    assert len(files(killed)) == 2


async def killed_while(server: RunningServer, api: Api, execution_id: str) -> None:
    """Kill everything while a file is on its way in one request."""
    before = files(server)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000
            await asyncio.sleep(0)

    async def is_coming() -> bool:
        return sum(path.stat().st_size for path in files(server) - before) > PART_BYTES

    cut_off = asyncio.create_task(sent(api, execution_id, endless(), "cut-off.log"))
    await eventually(is_coming)
    server.kill_all()
    with pytest.raises(aiohttp.ClientError):
        await cut_off
    assert files(server) - before, "half a file is left, for the sweep"


def files(server: RunningServer) -> set[Path]:
    return {path for path in (server.data_dir / "artifacts").rglob("*") if path.is_file()}


async def sweep_much_later(server: RunningServer) -> None:
    """The hourly sweep, when nothing that is left can be of an upload under way."""
    later = datetime.now(UTC) + timedelta(hours=UNFINISHED_HOURS, minutes=1)
    connection = await postgres.connect(server.database_url)
    await artifact_sweep.sweep(connection, Blobs.open(None, server.data_dir / "artifacts"), later, 0)
    await connection.close()
