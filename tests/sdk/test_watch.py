"""`tms watch`, and what its bars show."""

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import FakeTMS
from tms_sdk.bars import Bars
from tms_sdk.progress import ExecutionProgress
from tms_sdk.records import Counters

ID = "exec_20250804000001"
FAILED: Counters = {"total": 3, "passed": 2, "failed": 1, "skipped": 0, "flaky": 0}


def event(name: str, **data: Any) -> dict[str, Any]:
    return {"type": "event", "seq": 1, "event": name, "executionId": ID, "data": data}


Watcher = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def watcher(fake: FakeTMS, server: Server) -> Iterator[Watcher]:
    """Begin to watch an execution of two shards; it has printed the snapshot when it is handed over."""
    fake.add_execution(ID, configuration={"shards": 2})
    fake.happen(ID, "execution.started")
    started = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tms_sdk", "watch", ID],
            env=server.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{ID} running, 2 shards\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("ending", "data", "exit_code"),
    [
        ("execution.completed", {"results": {"total": 2, "passed": 2}}, 0),
        ("execution.completed", {"results": FAILED}, 1),
        ("execution.failed", {"reason": "timeout"}, 1),
        ("execution.cancelled", {"reason": "User requested cancellation"}, 2),
    ],
)
def test_each_event_is_a_line_and_the_exit_code_tells_how_it_ended(
    fake: FakeTMS, watcher: Watcher, ending: str, data: dict[str, Any], exit_code: int
) -> None:
    process = watcher()
    fake.happen(ID, "shard.started", {"shardId": "1"})
    fake.happen(ID, "shard.completed", {"shardId": "1", "status": "failed", "results": FAILED})
    fake.executions[ID].shards["1"] = {"status": "failed", "results": data.get("results", {}), "tests": []}
    fake.happen(ID, ending, data)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == exit_code, output
    assert "shard 1: running\nshard 1: failed, 2 passed, 1 failed\n" in output
    assert f"{ID} {ending.partition('.')[2]}: " in output


def test_a_failure_in_quarantine_is_shown_and_does_not_count(fake: FakeTMS, server: Server, watcher: Watcher) -> None:
    fake.quarantined = {"shaky"}
    process = watcher()
    with server.client() as client:
        client.put_plan(ID, {"mode": "queue", "tests": [{"file": "a.js", "title": "shaky"}]})
        lease = client.claim(ID, "node", shard_id="1")["leaseId"] or ""
        failed = {"title": "shaky", "file": "a.js", "status": "failed"}
        client.stream_tests(ID, "1", lease, "node", [failed])
        client.close_shard(ID, "1", "completed", runner_id="node", provider="test", metadata={})
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert f"{ID} completed: 0 passed, 1 failed" in output


def test_failed_tests_are_listed_at_the_end(fake: FakeTMS, watcher: Watcher) -> None:
    process = watcher()
    failed = {"title": "Login should work", "file": "tests/auth.spec.js", "error": "no", "shard": "1"}
    fake.happen(ID, "execution.completed", {"results": FAILED, "failedTests": [failed]})
    output, _ = process.communicate(timeout=60)
    assert "FAILED tests/auth.spec.js Login should work (shard 1)\n" in output


def test_ctrl_c_ends_the_watching_and_not_the_execution(fake: FakeTMS, watcher: Watcher) -> None:
    process = watcher()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in output) == (2, False)
    assert fake.executions[ID].status == "running"


def test_an_unknown_execution_is_an_error_that_says_so(tms: Tms) -> None:
    done = tms("watch", "exec_0")
    assert (done.returncode, "unknown execution" in done.stderr) == (3, True)
    assert tms("watch", "exec_0", "--token", "wrong").returncode == 3


def test_progress_follows_the_frames() -> None:
    progress = ExecutionProgress(ID)
    execution = {
        "executionId": ID,
        "status": "running",
        "progress": {"totalShards": 3},
        "results": FAILED,
        "shardResults": [{"shardId": "2", "status": "failed", "results": FAILED}],
    }
    progress.apply({"type": "snapshot", "seq": 4, "execution": execution})
    assert {shard.shard_id: shard.status for shard in progress.shards.values()} == {
        "1": "pending",
        "2": "failed",
        "3": "pending",
    }
    progress.apply(event("shard.started", shardId="1"))
    assert progress.shards["1"].status == "running"
    progress.apply(event("shard.completed", shardId="1", status="completed", results={"total": 1, "passed": 1}))
    assert progress.results == {"total": 4, "passed": 3, "failed": 1, "skipped": 0, "flaky": 0}
    # A shard sent again replaces its former result.
    progress.apply(event("shard.completed", shardId="1", status="completed", results={"total": 2, "passed": 2}))
    assert progress.results["total"] == 5
    progress.apply({"type": "tests", "n": 1, "shardId": "1", "tests": []})
    progress.apply(event("execution.failed", reason="timeout"))
    assert progress.status == "failed"


def test_claims_and_streamed_results_move_the_shards_that_have_not_ended() -> None:
    progress = ExecutionProgress(ID)
    progress.plan(3)
    progress.apply(event("shard.completed", shardId="2", status="completed", results={"total": 1, "passed": 1}))
    progress.apply(event("shard.claimed", shardId="1", shardPlan={"planned": 4}))
    progress.apply(event("shard.progress", shardId="1", results=FAILED, plan={"planned": 20}))
    progress.apply(event("shard.claimed", shardId="1", shardPlan={"planned": 11}))
    progress.apply(event("shard.released", shardId="1", shardPlan={"planned": 6}))
    progress.apply(event("shard.released", shardId="2", reason="done"))
    first, second, third = (progress.shards[number] for number in "123")
    assert (first.status, first.planned, first.results) == ("running", 6, FAILED)
    assert (second.status, second.planned, second.results["total"]) == ("completed", None, 1)
    assert (third.status, third.results["total"]) == ("pending", 0)
    assert progress.results == {"total": 4, "passed": 3, "failed": 1, "skipped": 0, "flaky": 0}


def test_a_snapshot_tells_what_each_shard_has_claimed() -> None:
    progress = ExecutionProgress(ID)
    shard = {"shardId": "1", "status": "running", "results": FAILED, "plan": {"planned": 6, "reported": 3}}
    execution = {"status": "running", "shardResults": [shard], "results": FAILED}
    progress.apply({"type": "snapshot", "seq": 3, "execution": execution})
    assert (progress.shards["1"].planned, progress.shards["1"].results) == (6, FAILED)


def test_bars_show_each_shard_its_numbers_and_its_test() -> None:
    progress = ExecutionProgress(ID, "running")
    first, second, third = (progress.shard(number) for number in "123")
    first.status, first.planned, first.results, first.running = "running", 6, FAILED, "test_a.py::test_[red]x"
    second.status, second.results = "completed", {**FAILED, "flaky": 1}
    third.status = "running"
    output = io.StringIO()
    Console(file=output, width=120).print(Bars(progress))
    lines = output.getvalue().splitlines()
    assert ID in lines[0]
    assert "3/6 2 passed, 1 failed" in lines[1]
    assert "test_a.py::test_[red]x" in lines[1]
    assert "2 passed, 1 failed, 1 flaky" in lines[2]
    assert "completed" in lines[2]
    assert "running" in lines[3]
