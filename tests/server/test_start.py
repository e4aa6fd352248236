"""Starts that cannot succeed: one clear line, an exit code of its own, and nothing harmed."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from server.stores import Stores
from storage import postgres
from storage.postgres import DirectConnection
from tests.running import RunningServer
from tests.server.conftest import Orchestrator

SET_UP_WRONGLY = 78
CANNOT_BE_REACHED = 69

KEY = "a key that is long enough for the tests"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on: it stays taken, so that nobody comes to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def is_well(server: RunningServer) -> bool:
    answer = httpx.get(f"{server.url}/readyz", trust_env=False)
    return answer.status_code == 200


def test_a_second_server_on_the_same_folder(orchestrator: Orchestrator, server: RunningServer) -> None:
    done = orchestrator("serve", data_dir=server.data_dir, port=0)
    assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, "")
    assert done.stderr == (
        f"orchestrator: The data folder {server.data_dir} is in use by process {server.pid};"
        " end that one, or set TMS_DATA_DIR to another folder\n"
    )
    assert is_well(server)


def test_a_taken_port(orchestrator: Orchestrator, server: RunningServer, data_dir: Path) -> None:
    port = urlsplit(server.url).port
    done = orchestrator("serve", data_dir=data_dir, port=port)
    assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, "")
    expected = f"orchestrator: Cannot listen on 127.0.0.1:{port}: Address already in use; set TMS_HOST or TMS_PORT to"
    assert done.stderr == f"{expected} another\n"
    assert not data_dir.exists(), "nothing was begun"
    assert is_well(server)


def test_an_unreachable_database(orchestrator: Orchestrator, closed_port: int) -> None:
    database_url = f"postgresql://tms:a-password@127.0.0.1:{closed_port}/tms"
    done = orchestrator("serve", database_url=database_url, redis_url="redis://127.0.0.1", secret_key=KEY, port=0)
    assert (done.returncode, done.stdout) == (CANNOT_BE_REACHED, "")
    assert done.stderr.startswith("orchestrator: The database is not available (Connect")
    assert done.stderr.count("\n") == 1
    assert "a-password" not in done.stderr


def test_a_database_that_refuses(orchestrator: Orchestrator, stores: Stores) -> None:
    settings = {"redis_url": stores.redis_url, "secret_key": KEY, "port": 0}
    done = orchestrator("serve", database_url=on_database(stores, "there_is_none"), **settings)
    assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, "")
    assert done.stderr == (
        'orchestrator: The database of TMS_DATABASE_URL refuses: database "there_is_none" does not exist\n'
    )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"prot": 8000}, "Unknown setting TMS_PROT; `orchestrator serve --help` lists the settings"),
        ({"port": "http"}, "TMS_PORT: Expected `int`, got `str`"),
        ({"port": 70000}, "TMS_PORT: Expected `int` <= 65535"),
        ({"bootstrap_token": "short"}, "TMS_BOOTSTRAP_TOKEN: Expected `str` of length >= 16"),
        ({"data_dir": "/dev/null/data"}, "The data folder /dev/null/data cannot be used: "),
        (
            {"database_url": "postgresql://127.0.0.1/tms", "secret_key": KEY},
            "Set both TMS_DATABASE_URL and TMS_REDIS_URL, or neither to use the embedded ones",
        ),
        (
            {"database_url": "postgresql://127.0.0.1/tms", "redis_url": "redis://127.0.0.1"},
            "Set TMS_SECRET_KEY (32 characters or more), the same for all servers of this database",
        ),
    ],
    ids=["unknown", "no number", "out of range", "short token", "unusable folder", "one store", "no key"],
)
def test_wrong_settings(orchestrator: Orchestrator, data_dir: Path, settings: dict[str, object], line: str) -> None:
    done = orchestrator("serve", **{"data_dir": data_dir, "port": 0} | settings)
    assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, "")
    assert done.stderr.startswith(f"orchestrator: {line}")
    assert done.stderr.count("\n") == 1


def on_database(stores: Stores, name: str) -> str:
    """The address of another database beside that of the stores."""
    parts = urlsplit(stores.database_url)
    return parts._replace(path=f"/{name}").geturl()


@pytest.fixture
async def database_url(stores: Stores, connection: DirectConnection, request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own."""
    name = f"own_{abs(hash(request.node.nodeid))}"
    await connection.execute(f"CREATE DATABASE {name}")
    return on_database(stores, name)


async def schema(connection: DirectConnection) -> list[tuple[object, ...]]:
    """All columns of all tables."""
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
    )
    return [tuple(row) for row in columns]


async def test_a_schema_of_a_newer_version(orchestrator: Orchestrator, stores: Stores, database_url: str) -> None:
    settings = {"database_url": database_url, "redis_url": stores.redis_url, "secret_key": KEY, "port": 0}
    assert orchestrator("migrate", **settings).returncode == 0
    connection = await postgres.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.execute("ALTER TABLE executions ADD COLUMN only_newer_versions_know_it text")
    before = await schema(connection)
    for arguments in (("serve",), ("migrate",), ("token", "list")):
        done = orchestrator(*arguments, **settings)
        assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, ""), arguments
        assert done.stderr == (
            "orchestrator: The database has schema 9999, made by a newer version of this program;"
            " start that version, or restore a backup from before its upgrade\n"
        )
    assert await schema(connection) == before
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await connection.close()


async def test_another_number_of_partitions(orchestrator: Orchestrator, stores: Stores, database_url: str) -> None:
    settings = {"database_url": database_url, "redis_url": stores.redis_url, "secret_key": KEY, "port": 0}
    done = orchestrator("migrate", partitions=3, **settings)
    assert done.stdout == "The database is up to date, with 3 partitions.\n"
    done = orchestrator("serve", partitions=5, **settings)
    assert (done.returncode, done.stdout) == (SET_UP_WRONGLY, "")
    assert done.stderr == (
        "orchestrator: TMS_PARTITIONS is 5, but this database was made with 3; the number is fixed at the first start\n"
    )
    assert orchestrator("migrate", **settings).stdout == "The database is up to date, with 3 partitions.\n"
