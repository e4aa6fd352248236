"""The embedded servers against real kills, orphans, zombies and stale files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest
import redis.asyncio as redis

from orchestrator.errors import Misconfigured
from storage.embedded import DataFolderInUse, DataFolderLock, EmbeddedServerFailed, EmbeddedServers, launch
from storage.embedded import process as processes
from storage.embedded.account import Account
from storage.embedded.process import ENVIRONMENT, running_in
from storage.embedded.sockets import SocketFolder
from tests.measured import measured

ROOT = Path(__file__).parents[2]

# A server process to kill: prints where its servers are, then waits. With SUBREAPER, a parent stands above it that
# inherits its orphans and never reaps one, as the first process of many containers.
SERVER = """
import asyncio, ctypes, json, os, resource, signal, sys
from pathlib import Path
from storage.embedded import EmbeddedServers
from orchestrator.errors import TMSError

async def serve(folder):
    servers = EmbeddedServers(folder)
    await servers.start()
    found = [os.getpid(), servers.postgres_pid, servers.valkey_pid, servers.database_url, servers.redis_url]
    print(json.dumps(found), flush=True)
    await asyncio.Event().wait()

folder, mode, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if mode == "SUBREAPER":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    if os.fork():
        signal.pause()
try:
    asyncio.run(serve(folder))
except TMSError as error:
    print(json.dumps([error.code, error.message]), flush=True)
"""


# Keeps a backend from looking up, so that it does not notice that its postmaster has died.
ENDLESS = "DO 'BEGIN LOOP END LOOP; END'"


class Server(NamedTuple):
    process: asyncio.subprocess.Process
    pid: int
    postgres: int
    valkey: int
    database_url: str
    redis_url: str


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A place for a data folder, where there is nothing yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has made and left in order; only to be copied."""
    made = tmp_path_factory.mktemp("made") / "data"

    async def make() -> None:
        async with EmbeddedServers(made):
            pass

    asyncio.run(make())
    return made


@pytest.fixture
def folder(made: Path, empty: Path) -> Path:
    """A data folder with an empty database."""
    subprocess.run(["cp", "-a", made, empty], check=True)
    return empty


@asynccontextmanager
async def process_of(folder: Path, mode: str = "", limit: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(folder), mode, str(limit)), cwd=ROOT, stdout=subprocess.PIPE
    )
    below: list[psutil.Process] = []
    try:
        yield process
    finally:
        # A test may have killed some of them, of which nobody else has been told yet.
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            process.kill()
        for child in below:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        await process.communicate()


async def answer(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"["):
            return list(json.loads(line))
    raise AssertionError


@asynccontextmanager
async def server_on(folder: Path, mode: str = "") -> AsyncIterator[Server]:
    async with process_of(folder, mode) as process:
        pid, postgres, valkey, database_url, redis_url = await answer(process)
        yield Server(process, int(pid), int(postgres), int(valkey), database_url, redis_url)


async def eventually(state: Callable[[], bool]) -> None:
    """Wait for what other processes do, of which nobody is told."""
    deadline = time.monotonic() + 30
    while not state():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def connected(url: str) -> asyncpg.Connection:
    """A connection, as soon as there is a Postgres at the address."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await asyncpg.connect(url)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def pinged(url: str) -> bool:
    """Whether Valkey answers, as soon as there is one at the address."""
    deadline = time.monotonic() + 30
    while True:
        try:
            async with redis.from_url(url) as client:
                return bool(await client.ping())
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def note(url: str, *texts: str) -> None:
    """Commit rows."""
    connection = await connected(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS notes (text text)")
    await connection.executemany("INSERT INTO notes VALUES ($1)", [(text,) for text in texts])
    await connection.close()


async def notes(url: str) -> list[str]:
    connection = await connected(url)
    rows = await connection.fetch("SELECT text FROM notes ORDER BY text")
    await connection.close()
    return [row["text"] for row in rows]


def processes_of(folder: Path) -> list[psutil.Process]:
    return running_in(folder / "postgres", "postgres") + running_in(folder / "valkey", "valkey-server")


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def kill_at_once(server: Server, *pids: int) -> None:
    """Kill a server and some of its children before it can reap or revive one of them."""
    os.kill(server.pid, signal.SIGSTOP)
    await eventually(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED)
    kill(*pids, server.pid)


async def assert_starts_with(folder: Path, *texts: str) -> None:
    """A start works, has all that was committed, and serves; a stop leaves nothing."""
    async with EmbeddedServers(folder) as servers:
        assert await notes(servers.database_url) == list(texts)
        assert await pinged(servers.redis_url)
    assert processes_of(folder) == []


async def test_first_start_makes_a_database_and_a_bus_behind_private_sockets(empty: Path) -> None:
    async with EmbeddedServers(empty) as servers:
        connection = await connected(servers.database_url)
        assert await connection.fetchval("SELECT current_database()") == "tms"
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW server_version_num") >= "180000"
        await connection.execute("CREATE EXTENSION pg_trgm")
        await connection.close()
        assert await pinged(servers.redis_url)
        assert (empty / "run").stat().st_mode & 0o077 == 0
        assert (empty / "postgres-password").stat().st_mode & 0o777 == 0o600
    assert processes_of(empty) == []


async def test_a_wrong_password_is_refused(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        password = (folder / "postgres-password").read_text().strip()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(servers.database_url.replace(password, "guess"))


async def test_neither_server_runs_as_root(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        for pid in (servers.postgres_pid, servers.valkey_pid):
            assert psutil.Process(pid).uids().effective != 0


async def test_a_second_start_keeps_address_and_data(folder: Path) -> None:
    servers = EmbeddedServers(folder)
    await servers.start()
    before = (servers.database_url, servers.redis_url)
    await note(servers.database_url, "kept")
    await servers.stop()
    await servers.stop()
    await servers.start()
    assert (servers.database_url, servers.redis_url) == before
    assert await notes(servers.database_url) == ["kept"]
    await servers.stop()
    assert processes_of(folder) == []


@pytest.mark.parametrize("name", ["""a 'b' "c" %20""", "a, b", "é"])
async def test_the_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with EmbeddedServers(folder) as servers:
        await note(servers.database_url, "x")
        assert await pinged(servers.redis_url)


async def test_a_path_too_long_for_a_socket_gets_a_private_folder_that_goes_with_the_server(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    async with EmbeddedServers(folder) as servers:
        sockets = Path(parse_qs(urlsplit(servers.database_url).query)["host"][0])
        assert sockets.parent == Path("/tmp")
        assert sockets.stat().st_mode & 0o077 == 0
        await note(servers.database_url, "x")
        assert await pinged(servers.redis_url)
    assert not sockets.exists()
    await assert_starts_with(folder, "x")


def test_a_folder_put_in_the_place_of_the_sockets_is_not_used(tmp_path: Path) -> None:
    wished, open_to_all = tmp_path / ("long" * 30), tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    wished.symlink_to(open_to_all)
    sockets = SocketFolder(wished)
    assert sockets.open(Account(os.geteuid(), os.getegid())) != open_to_all
    sockets.close()
    assert open_to_all.exists()


async def test_a_second_server_on_the_folder_is_told_who_holds_it(folder: Path) -> None:
    async with server_on(folder) as server:
        with pytest.raises(DataFolderInUse, match=str(folder)) as caught:
            await EmbeddedServers(folder).start()
        assert caught.value.holder == server.pid
        await note(server.database_url, "still serving")


async def test_starting_twice_does_not_stop_the_servers(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        with pytest.raises(DataFolderInUse):
            await servers.start()
        await note(servers.database_url, "still serving")


async def test_a_dead_holder_does_not_hold_the_folder(empty: Path) -> None:
    held = "import asyncio, sys, time; from pathlib import Path; from storage.embedded import DataFolderLock;"
    held += "lock = DataFolderLock(Path(sys.argv[1])); asyncio.run(lock.acquire());"
    held += "print('held', flush=True); time.sleep(600)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", held, str(empty)), cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(DataFolderInUse):
        await DataFolderLock(empty).acquire()
    process.kill()
    await process.communicate()
    async with DataFolderLock(empty):
        assert (empty / "lock").read_text() == f"{os.getpid()}\n"


async def test_everything_killed_at_once(folder: Path) -> None:
    async with server_on(folder) as server:
        await note(server.database_url, "a", "b")
        await kill_at_once(server, server.postgres, server.valkey)
        await assert_starts_with(folder, "a", "b")


async def test_only_the_server_killed(folder: Path) -> None:
    async with server_on(folder) as server:
        await note(server.database_url, "a")
        kill(server.pid)
        await assert_starts_with(folder, "a")


async def test_the_servers_follow_a_killed_server(folder: Path) -> None:
    async with server_on(folder) as server:
        kill(server.pid)
        await eventually(lambda: processes_of(folder) == [])


async def test_zombies_that_nobody_reaps(folder: Path) -> None:
    async with server_on(folder, "SUBREAPER") as server:
        await note(server.database_url, "a")
        await kill_at_once(server, server.postgres, server.valkey)
        for pid in (server.pid, server.postgres, server.valkey):
            process = psutil.Process(pid)
            await eventually(lambda process=process: process.status() == psutil.STATUS_ZOMBIE)  # type: ignore[misc] # mypy sees no type in a default
        await assert_starts_with(folder, "a")
        assert psutil.Process(server.postgres).status() == psutil.STATUS_ZOMBIE


async def test_busy_backends_that_outlive_their_postmaster(folder: Path) -> None:
    async with server_on(folder) as server:
        await note(server.database_url, "a")
        connection = await connected(server.database_url)
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        busy = asyncio.create_task(connection.execute(ENDLESS))
        await eventually(lambda: backend.cpu_times().user > 0.2)
        await kill_at_once(server, server.postgres)
        assert backend in processes_of(folder)
        await assert_starts_with(folder, "a")
        assert backend not in processes_of(folder)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await busy


async def test_a_postmaster_that_lives_on_is_shut_down_in_order(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        await note(servers.database_url, "a")
        command = psutil.Process(servers.postgres_pid).cmdline()
        valkey = psutil.Process(servers.valkey_pid).exe()
    account = Account.owning(folder / "postgres")
    launched = [sys.executable, launch.__file__, str(os.getpid()), "9", str(account.uid), str(account.gid)]
    orphan = subprocess.Popen([*launched, *command], cwd=folder / "postgres", env=ENVIRONMENT)
    options = ["--port", "0", "--unixsocket", str(folder / "run" / "valkey.sock"), "--dir", str(folder / "valkey")]
    other = subprocess.Popen([*launched, valkey, *options], cwd=folder / "valkey", env=ENVIRONMENT)
    await note(servers.database_url, "b")
    await eventually(lambda: len(running_in(folder / "valkey", "valkey-server")) == 1)
    await assert_starts_with(folder, "a", "b")
    assert orphan.wait() == 0
    assert other.wait() == -signal.SIGKILL
    assert (
        "database system was shut down at" in (folder / "postgres.log").read_text().rsplit("starting Postgres", 1)[-1]
    )


async def test_a_pid_file_that_names_another_program(folder: Path) -> None:
    account = Account.owning(folder / "postgres")
    async with server_on(folder) as server:
        await note(server.database_url, "a")
        pid_file = (folder / "postgres" / "postmaster.pid").read_text()
        await kill_at_once(server, server.postgres, server.valkey)
        await eventually(lambda: processes_of(folder) == [])
    bystander = subprocess.Popen(["sleep", "600"], user=account.uid if os.geteuid() == 0 else None)
    stale = folder / "postgres" / "postmaster.pid"
    stale.write_text(pid_file.replace(str(server.postgres), str(bystander.pid), 1))
    try:
        await assert_starts_with(folder, "a")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_killed_while_the_database_is_being_made(empty: Path) -> None:
    async with process_of(empty) as process:
        await eventually((empty / "postgres.new" / "PG_VERSION").exists)
        process.kill()
        await process.wait()
        async with EmbeddedServers(empty) as servers:
            await note(servers.database_url, "a")
        assert not (empty / "postgres.new").exists()


async def test_a_killed_postmaster_comes_back_at_the_same_address(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        await note(servers.database_url, "a")
        connection = await connected(servers.database_url)
        busy = asyncio.create_task(connection.execute(ENDLESS))
        for _ in range(2):
            killed = servers.postgres_pid
            assert killed is not None
            kill(killed)
            await eventually(lambda killed=killed: servers.postgres_pid not in (killed, None))  # type: ignore[misc] # mypy sees no type in a default
            assert await notes(servers.database_url) == ["a"]
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await busy
    assert processes_of(folder) == []


async def test_a_killed_valkey_comes_back_at_the_same_address(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        killed = servers.valkey_pid
        assert killed is not None
        kill(killed)
        await eventually(lambda: measured(servers.collect(), "tms_embedded_starts_total", server="valkey-server") == 2)
        assert servers.valkey_pid not in (killed, None)
        assert measured(servers.collect(), "tms_embedded_up", server="valkey-server") == 1
        assert measured(servers.collect(), "tms_embedded_starts_total", server="postgres") == 1
        assert await pinged(servers.redis_url)
    assert processes_of(folder) == []


async def test_restarts_keep_address_and_data(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        await note(servers.database_url, "a")
        await servers.restart_postgres()
        await servers.restart_valkey()
        assert await notes(servers.database_url) == ["a"]
        assert await pinged(servers.redis_url)
    assert processes_of(folder) == []


async def test_a_failing_start_shows_the_log_and_leaves_nothing(folder: Path) -> None:
    with (folder / "postgres" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    servers = EmbeddedServers(folder)
    with pytest.raises(EmbeddedServerFailed, match="no_such_setting"):
        await servers.start()
    assert processes_of(folder) == []
    async with DataFolderLock(folder):
        pass


async def test_a_database_that_cannot_be_made_shows_why(empty: Path) -> None:
    async with process_of(empty, limit=1_000_000) as process:
        code, message = await answer(process)
        assert code == "EMBEDDED_SERVER_FAILED"
        assert message.startswith("initdb ended with")
        assert "File too large" in message
    assert processes_of(empty) == []
    async with EmbeddedServers(empty) as servers:
        await note(servers.database_url, "a")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerFailed, match=str(tmp_path / "file")):
        await EmbeddedServers(tmp_path / "file" / "data").start()


async def test_data_of_another_major_version_is_left_alone(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        await note(servers.database_url, "a")
    version = folder / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(Misconfigured, match="made by Postgres 17, and this is Postgres 18") as caught:
        await EmbeddedServers(folder).start()
    assert caught.value.code == "DATA_FOLDER_VERSION"
    version.write_text("18\n")
    await assert_starts_with(folder, "a")


async def test_a_lost_password_is_named(folder: Path) -> None:
    (folder / "postgres-password").unlink()
    with pytest.raises(EmbeddedServerFailed, match="postgres-password is missing"):
        await EmbeddedServers(folder).start()
    assert processes_of(folder) == []


async def test_a_cancelled_start_leaves_nothing(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def end_slowly(*which: Any) -> None:
        await asyncio.sleep(0.1)
        await ended(*which)

    ended = processes.end
    monkeypatch.setattr(processes, "end", end_slowly)
    servers = EmbeddedServers(empty)
    start = asyncio.create_task(servers.start())
    await eventually((empty / "postgres.new" / "PG_VERSION").exists)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert processes_of(empty) == []
    async with DataFolderLock(empty):
        pass
    async with servers:
        await note(servers.database_url, "a")
