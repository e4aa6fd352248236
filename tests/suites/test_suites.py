"""Test suites that nobody here wrote, run in four shards: the server has what plain pytest reports, test by test."""

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.plain_pytest import PYTEST, plain, reported
from tests.running import RunningServer
from tms_sdk import TMSClient

ARCHIVES = Path(__file__).parent / "archives.txt"
SHARDS = 4

# What pytest is told on top: where the package is, whose own settings hold for all else.
OPTIONS = ("-o", "pythonpath=src .", "tests")

# A mistake that many tests of itsdangerous notice, added at the end of its module.
MISTAKE = "\n\ndef base64_decode(string):\n    raise ArithmeticError\n"


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archives, whose hashes pip has checked."""
    folder = tmp_path_factory.mktemp("archives")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--dest", str(folder)]
    done = subprocess.run(
        [*command, "--no-deps", "--no-binary", "click,itsdangerous,more-itertools", "--requirement", str(ARCHIVES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def unpacked(archives: Path, name: str, folder: Path) -> Path:
    (archive,) = archives.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (project,) = folder.glob(f"{name}-*")
    return project


def run_in_shards(project: Path, server: RunningServer) -> tuple[int, str]:
    """`tms run` in a project; returns its exit code and the execution."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TMS_"))}
    own = {"TMS_URL": server.url, "TMS_TOKEN": server.token, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tms_sdk", "run", "--shards", str(SHARDS), "--", *PYTEST, *OPTIONS],
        cwd=project,
        env=kept | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    found = re.search(r"exec_\d+", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return done.returncode, found.group()


def all_tests(client: TMSClient, execution_id: str) -> Iterator[dict[str, Any]]:
    """The tests of an execution, over all pages."""
    page = client.tests(execution_id, limit=1000)
    yield from page["tests"]
    while page["nextCursor"] is not None:
        page = client.tests(execution_id, limit=1000, cursor=page["nextCursor"])
        yield from page["tests"]


@pytest.mark.parametrize(
    ("name", "mistaken", "exit_code", "outcomes"),
    [
        ("itsdangerous", None, 0, {"passed"}),
        ("itsdangerous", "src/itsdangerous/encoding.py", 1, {"passed", "failed"}),
        ("more_itertools", None, 0, {"passed"}),
        ("click", None, 0, {"passed", "skipped"}),
    ],
    ids=["itsdangerous", "itsdangerous with a mistake", "more_itertools", "click"],
)
def test_the_server_has_what_plain_pytest_reports(
    archives: Path,
    tmp_path: Path,
    server: RunningServer,
    name: str,
    mistaken: str | None,
    exit_code: int,
    outcomes: set[str],
) -> None:
    project = unpacked(archives, name, tmp_path)
    if mistaken is not None:
        with (project / mistaken).open("a") as module:
            module.write(MISTAKE)
    with ThreadPoolExecutor() as pool:
        plainly = pool.submit(plain, project, *OPTIONS)
        code, execution_id = run_in_shards(project, server)
        plain_code, expected = plainly.result()

    with TMSClient(server.token, server.url) as client:
        execution = client.get_execution(execution_id)
        tests = list(all_tests(client, execution_id))
    assert reported(tests) == expected
    assert (code, plain_code) == (exit_code, exit_code)

    assert execution["status"] == "completed"
    counted = Counter(outcome for *_, outcome in expected.elements())
    assert set(counted) == outcomes
    assert execution["results"] == {
        "total": counted.total(),
        **{outcome: counted[outcome] for outcome in ("passed", "failed", "skipped")},
        "flaky": 0,
    }
    assert [shard["shardId"] for shard in execution["shardResults"]] == ["1", "2", "3", "4"]
