"""`tms watch`, and what its bars show."""

import io
from typing import Any

import pytest
from rich.console import Console

from tests.sdk.conftest import Tms
from tests.sdk.fake_tms import FakeTMS
from tms_sdk.bars import Bars
from tms_sdk.progress import ExecutionProgress
from tms_sdk.watch import show

ID = "exec_20250804000001"
FAILED = {"total": 3, "passed": 2, "failed": 1, "skipped": 0, "flaky": 0}


def event(name: str, **data: Any) -> dict[str, Any]:
    return {"type": "event", "seq": 1, "event": name, "executionId": ID, "data": data}


@pytest.mark.parametrize(
    ("ending", "data", "exit_code"),
    [
        ("execution.completed", {"results": {"total": 2, "passed": 2}}, 0),
        ("execution.completed", {"results": FAILED}, 1),
        ("execution.failed", {"reason": "timeout"}, 1),
        ("execution.cancelled", {"reason": "User requested cancellation"}, 2),
    ],
)
def test_the_exit_code_tells_how_the_execution_ended(
    fake: FakeTMS, tms: Tms, ending: str, data: dict[str, Any], exit_code: int
) -> None:
    fake.add_execution(ID, configuration={"shards": 1})
    fake.happen(ID, "execution.started")
    # The connection that sees the snapshot is cut; what follows has happened by then.
    fake.closes.append((1, 1001))
    execution = fake.executions[ID]
    original = execution.printed

    def printed_once() -> dict[str, Any]:
        told = original()
        if len(execution.events) == 1:
            for number, (name, body) in enumerate(
                [("shard.started", {"shardId": "1"}), (ending, data)], len(execution.events) + 1
            ):
                execution.events.append(
                    {"type": "event", "seq": number, "event": name, "executionId": ID, "data": body}
                )
            execution.status = ending.partition(".")[2]
        return told

    execution.printed = printed_once  # type: ignore[method-assign] # the moment to act is when the snapshot is made
    done = tms("watch", ID)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "shard 1: running" in done.stdout
    assert f"{ID} {ending.partition('.')[2]}" in done.stdout


def test_an_unknown_execution_is_an_error_that_says_so(fake: FakeTMS, tms: Tms) -> None:
    done = tms("watch", "exec_0")
    assert (done.returncode, "unknown execution" in done.stderr) == (3, True)
    assert tms("watch", "exec_0", "--token", "wrong").returncode == 3


async def test_failed_tests_are_listed_at_the_end(fake: FakeTMS) -> None:
    fake.add_execution(ID, configuration={"shards": 1})
    failed = {"title": "Login should work", "file": "tests/auth.spec.js", "error": "no", "shard": "1"}
    fake.happen(ID, "execution.started")
    output = io.StringIO()
    fake.closes.append((0, 1001))
    fake.executions[ID].events.append({**event("execution.completed", results=FAILED, failedTests=[failed]), "seq": 2})
    progress = ExecutionProgress(ID)
    for frame in fake.executions[ID].events:
        progress.apply(frame)
    assert progress.failed_tests == [failed]
    fake.executions[ID].status = "completed"
    await show(fake.url, fake.token, ID, Console(file=output, width=100))
    assert f"{ID} completed" in output.getvalue()


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
