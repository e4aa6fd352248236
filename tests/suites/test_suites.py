"""Test suites that nobody here wrote, run in shards: the server has what plain pytest reports, each test once."""

import os
import re
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, NamedTuple

import psutil
import pytest

from tests.plain_pytest import PYTEST, Told, plain, reported
from tests.running import RunningServer
from tms_sdk import TMSClient

ARCHIVES = Path(__file__).parent / "archives.txt"

# What pytest is told on top: where the package is, whose own settings hold for all else.
PLACE = ("-o", "pythonpath=src .")
OPTIONS = (*PLACE, "tests")

# Parts of the suites that take a moment, with tests of some files, and many of one.
PARTS = {
    "itsdangerous": ("tests/test_itsdangerous",),
    "more_itertools": ("tests/test_recipes.py", "-k", "not Prime and not Polynomial"),
    "click": ("tests/test_arguments.py", "tests/test_formatting.py", "tests/test_imports.py"),
}

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


def environ(server: RunningServer) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TMS_"))}
    return kept | {"TMS_URL": server.url, "TMS_TOKEN": server.token, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run_in_shards(
    project: Path, server: RunningServer, shards: int, mode: str, options: Sequence[str] = OPTIONS
) -> tuple[int, str]:
    """`tms run` in a project; returns its exit code and the execution."""
    command = [sys.executable, "-m", "tms_sdk", "run", "--shards", str(shards), "--mode", mode, "--"]
    done = subprocess.run(
        [*command, *PYTEST, *options],
        cwd=project,
        env=environ(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    print(done.stdout)  # noqa: T201 - shown where the test fails
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


def first_to_claim(
    client: TMSClient, execution_id: str, nodes: "Sequence[subprocess.Popen[bytes]]"
) -> "subprocess.Popen[bytes]":
    """Wait until a node has reported some results, and has more to run; return it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for event in client.events(execution_id)["events"]:
            if event["event"] == "shard.claimed":
                pids = {str(node.pid): node for node in nodes}
                found = pids.get(event["data"]["runnerId"].split("-")[-2])
                if found is not None:
                    return found
        time.sleep(0.05)
    raise AssertionError("nobody has claimed anything")


@pytest.mark.parametrize(
    ("name", "shards", "mode", "outcomes"),
    [
        ("itsdangerous", 8, "static", {"passed"}),
        ("itsdangerous", 2, "queue", {"passed"}),
        ("itsdangerous with a mistake", 4, "queue", {"passed", "failed"}),
        ("more_itertools", 1, "queue", {"passed"}),
        ("more_itertools", 2, "static", {"passed"}),
        ("click", 4, "static", {"passed", "skipped"}),
        ("click", 8, "queue", {"passed", "skipped"}),
    ],
)
def test_the_server_has_what_plain_pytest_reports(
    archives: Path,
    tmp_path: Path,
    server: RunningServer,
    name: str,
    shards: int,
    mode: str,
    outcomes: set[str],
) -> None:
    package, _, mistake = name.partition(" ")
    project = unpacked(archives, package, tmp_path)
    if mistake:
        with (project / "src/itsdangerous/encoding.py").open("a") as module:
            module.write(MISTAKE)
    with ThreadPoolExecutor() as pool:
        plainly = pool.submit(plain, project, *OPTIONS)
        code, execution_id = run_in_shards(project, server, shards, mode)
        plain_code, expected = plainly.result()

    assert code == plain_code == ("failed" in outcomes)
    assert {outcome for *_, outcome in expected} == outcomes
    assert_all_is_there(server, execution_id, expected, shards, mode)


class Part(NamedTuple):
    """A part of a suite: where it is, its files, and what plain pytest says of it."""

    project: Path
    options: Sequence[str]
    expected: Told


@pytest.fixture(scope="module", params=sorted(PARTS))
def part(request: pytest.FixtureRequest, archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Part:
    project = unpacked(archives, request.param, tmp_path_factory.mktemp(request.param))
    options = (*PLACE, *PARTS[request.param])
    code, expected = plain(project, *options)
    assert code == 0
    return Part(project, options, expected)


@pytest.mark.parametrize("mode", ["static", "queue"])
@pytest.mark.parametrize("shards", [1, 2, 4, 8])
def test_it_has_so_with_any_number_of_shards_in_either_mode(
    server: RunningServer, part: Part, shards: int, mode: str
) -> None:
    code, execution_id = run_in_shards(part.project, server, shards, mode, part.options)
    assert code == 0
    assert_all_is_there(server, execution_id, part.expected, shards, mode)


def assert_all_is_there(server: RunningServer, execution_id: str, expected: Told, shards: int, mode: str) -> None:
    """Each test that plain pytest tells of is there once, with its outcome, and all that was planned was reported."""
    with TMSClient(server.token, server.url) as client:
        execution = client.get_execution(execution_id)
        tests = list(all_tests(client, execution_id))
    assert reported(tests) == expected
    assert execution["status"] == "completed"
    counted = Counter(outcome for *_, outcome in expected.elements())
    assert execution["results"] == {
        "total": counted.total(),
        **{outcome: counted[outcome] for outcome in ("passed", "failed", "skipped")},
        "flaky": 0,
    }
    assert execution["progress"]["shardsCompleted"] == shards
    plan = execution["plan"]
    assert (plan["mode"], plan["reported"], plan["missing"], plan["unexpected"]) == (mode, plan["planned"], 0, 0)


def test_nodes_that_are_killed_cost_time_but_no_test(archives: Path, tmp_path: Path, server: RunningServer) -> None:
    project = unpacked(archives, "click", tmp_path)
    plain_code, expected = plain(project, *OPTIONS)
    command = [*PYTEST, "-p", "tms_sdk.pytest_loader", "--tms", "-p", "no:cacheprovider", *OPTIONS]
    with TMSClient(server.token, server.url) as client, ExitStack() as stack:
        config = {"testSuite": "all", "environment": "dev", "provider": "nodes"}
        created = client.create_execution({**config, "configuration": {"shards": 3, "retries": 3}})
        own = {"TMS_EXECUTION": created["executionId"]}
        nodes = [
            stack.enter_context(subprocess.Popen(command, cwd=project, env=environ(server) | own, stdout=DEVNULL))
            for _ in range(3)
        ]
        # The first that has a lease is killed with all it has started, in the middle of it.
        victim = first_to_claim(client, created["executionId"], nodes)
        killed = psutil.Process(victim.pid)
        for process in [killed, *killed.children()]:
            process.kill()
        codes = [node.wait(300) for node in nodes if node is not victim]
        execution = client.get_execution(created["executionId"])
        tests = list(all_tests(client, created["executionId"]))
    assert codes == [plain_code, plain_code] == [0, 0]
    assert reported(tests) == expected
    assert execution["results"]["total"] == expected.total()
