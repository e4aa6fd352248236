"""`tms run` while things go wrong: interruptions, killed runners, a server that is away, refuses or cancels."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.plain_pytest import PYTEST
from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import FakeTMS, Fault
from tests.sdk.test_run import ALL_PASS, Project
from tms_sdk.manifest import Dealing
from tms_sdk.run import RunOptions, run
from tms_sdk.runner import Runner

# A test that tells its process and that of a child, and never ends.
HANGS = """
import os, pathlib, subprocess, sys, time
def test_hangs():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    pathlib.Path(__file__ + ".tmp").write_text(f"{os.getpid()} {child.pid}")
    os.rename(__file__ + ".tmp", __file__ + ".pids")
    time.sleep(3600)
"""


def until(true: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pids(*files: Path) -> list[int]:
    """Wait for the hanging tests and return their processes."""
    told = [file.with_name(f"{file.name}.pids") for file in files]
    until(lambda: all(file.exists() for file in told))
    return [int(pid) for file in told for pid in file.read_text().split()]


@contextmanager
def runner(server: Server, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tms_sdk", "run", *arguments],
        cwd=folder,
        env=server.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_cancels_the_execution_and_ends_all_processes(
    fake: FakeTMS, server: Server, project: Project, number: signal.Signals
) -> None:
    folder = project({"test_a.py": HANGS, "test_b.py": HANGS})
    with runner(server, folder, "--shards", "2", "--", *PYTEST) as process:
        started = pids(folder / "test_a.py", folder / "test_b.py")
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cancelling" in output
    until(lambda: all(gone(pid) for pid in started))
    assert [execution.status for execution in fake.executions.values()] == ["cancelled"]


def test_a_killed_runner_leaves_no_process_behind(server: Server, project: Project) -> None:
    folder = project({"test_a.py": HANGS, "test_b.py": HANGS})
    with runner(server, folder, "--shards", "2", "--", *PYTEST) as process:
        started = pids(folder / "test_a.py", folder / "test_b.py")
        process.kill()
        process.wait()
        until(lambda: all(gone(pid) for pid in started))


def test_an_execution_cancelled_on_the_server_stops_all_shards(fake: FakeTMS, server: Server, project: Project) -> None:
    folder = project({"test_a.py": HANGS, "test_b.py": HANGS})
    fake.lease_seconds = 1.0
    with runner(server, folder, "--shards", "2", "--", *PYTEST) as process:
        started = pids(folder / "test_a.py", folder / "test_b.py")
        (execution,) = fake.executions
        fake.happen(execution, "execution.cancelled", {"reason": "by somebody"})
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Stopping: by somebody" in output
    until(lambda: all(gone(pid) for pid in started))


def test_results_reach_a_server_that_was_away_once(fake: FakeTMS, tms: Tms, project: Project) -> None:
    project({"test_a.py": ALL_PASS, "test_b.py": ALL_PASS})
    fake.faults = [
        Fault("POST", "/api/executions", times=1, status=500),
        Fault("PUT", ".*/plan", times=2, status=503),
        Fault("POST", ".*/claims", times=2, cut=True),
        Fault("POST", ".*/shards/./tests", times=2, cut=True),
        Fault("POST", ".*/shards/./tests", times=2, status=503),
        Fault("POST", "/api/results", times=3, cut=True),
    ]
    done = tms("run", "--shards", "2", "--", *PYTEST)
    assert done.returncode == 0, done.stdout
    (execution,) = fake.executions.values()
    assert execution.totals() == {"total": 14, "passed": 14, "failed": 0, "skipped": 0, "flaky": 0}


def test_results_that_the_server_refuses_fail_the_run_and_say_which(fake: FakeTMS, tms: Tms, project: Project) -> None:
    project({"test_a.py": ALL_PASS})
    fake.faults = [Fault("POST", ".*/shards/1/tests", status=413)]
    done = tms("run", "--shards", "1", "--", *PYTEST)
    assert done.returncode == 3
    assert "shard 1: tms: a result is not on the server: Out of order (HTTP 413" in done.stdout


def test_the_execution_tells_where_it_comes_from(fake: FakeTMS, tms: Tms, project: Project) -> None:
    project({"test_a.py": ALL_PASS})
    environ = {"CI": "true", "GITHUB_SHA": "abc123", "GITHUB_REF_NAME": "main", "GITHUB_RUN_NUMBER": "456"}
    done = tms(
        *("run", "--shards", "2", "--suite", "api", "--environment", "production", "--timeout", "90"),
        *("--", *PYTEST),
        environ=environ,
    )
    assert done.returncode == 0
    (execution,) = fake.executions.values()
    metadata = execution.body.pop("metadata")
    assert execution.body == {
        "testSuite": "api",
        "environment": "production",
        "provider": "tms-run",
        "triggerSource": "api",
        "configuration": {"shards": 2, "parallel": True, "retries": 3, "timeout": 90_000},
    }
    assert metadata.items() >= {"commit": "abc123", "branch": "main", "buildNumber": "456"}.items()
    assert all(shard["provider"] == "tms-run" for shard in execution.shards.values())


def test_without_a_server_nothing_is_run_and_its_address_is_named(
    tms: Tms, project: Project, unused_tcp_port: int
) -> None:
    folder = project({"test_a.py": "import pathlib\ndef test_x(): pathlib.Path('ran').touch()\n"})
    url = f"http://127.0.0.1:{unused_tcp_port}"
    done = tms("run", "--url", url, "--", *PYTEST)
    assert done.returncode == 3
    assert f"No answer from {url}" in done.stderr
    assert not (folder / "ran").exists()


def test_in_a_terminal_there_are_bars(server: Server, project: Project) -> None:
    folder = project({"test_a.py": ALL_PASS, "test_b.py": "def test_bad(): assert 0, 'the reason'\n"})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tms_sdk", "run", "--shards", "2", "--mode", "static", "--", *PYTEST],
        cwd=folder,
        env=server.environ | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            output += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(60) == 1
    text = output.decode()
    assert "━" in text
    assert re.search(r"([78])/\1", text), "all of what a shard was given"
    assert "the reason" in text


def test_shards_that_wait_hear_at_once_that_nothing_is_left(fake: FakeTMS, server: Server, project: Project) -> None:
    waits = "import pathlib, time\ndef test_waits():\n    pathlib.Path('waits').touch()\n"
    waits += "    while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
    folder = project({"test_a.py": waits, "test_b.py": ALL_PASS})
    with runner(server, folder, "--shards", "2", "--", *PYTEST) as process:
        until((folder / "waits").exists)
        (execution,) = fake.executions.values()
        plan = execution.plan
        assert plan is not None
        plan.wait_seconds = 3600
        until(lambda: 3600 in plan.waits)
        (folder / "go").touch()
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, "8 passed" in output) == (0, True), output


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_shard_that_breaks_ends_and_the_run_does_not_end_well(
    server: Server, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project({"test_a.py": ALL_PASS}))
    works = Runner.work

    def breaks(_: Runner) -> None:
        monkeypatch.setattr(Runner, "work", works)
        raise LookupError

    monkeypatch.setattr(Runner, "work", breaks)
    dealing = Dealing()
    options = RunOptions(server.url, server.token, PYTEST, 2, dealing, patience=1, suite="all", environment="dev")
    printed = StringIO()
    code = run(options, Console(file=printed))
    assert code == 3
    assert "completed, 7 passed" in printed.getvalue()
