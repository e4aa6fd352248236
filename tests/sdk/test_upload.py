"""`tms upload`, against the true server: it is the one that reads the reports."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.running import RunningServer
from tests.sdk.conftest import QUICK, Server, Tms
from tests.sdk.fake_tms import FakeTMS, Fault
from tms_sdk import ApiError, ReportError, ReportsRejected, TMSClient
from tms_sdk.upload import upload

FIRST = """<testsuite name="Login"><testcase classname="pkg.LoginTest" name="works" time="1.5"/>
<testcase classname="pkg.LoginTest" name="fails"><failure message="no"/></testcase></testsuite>"""
SECOND = """<testsuites><testsuite><testcase classname="c" name="flaky"><flakyFailure/></testcase>
<testcase classname="c" name="waits"><skipped/></testcase></testsuite></testsuites>"""
THIRD = {
    "reportFormat": "CTRF",
    "specVersion": "0.0.0",
    "results": {
        "tool": {"name": "jest"},
        "summary": {"start": 1000, "stop": 3000},
        "tests": [{"name": "works", "status": "passed", "duration": 5, "colour": 1}],
    },
}
BAD = "<testsuite>\n<testcase>\n</testsuite>"
BAD_AT = "Line 3, column 3: mismatched tag"
REPORTS = "/api/executions/.*/reports"


@pytest.fixture
def server(running_server: RunningServer) -> Server:
    return Server(running_server.url, running_server.token)


@pytest.fixture
def execution_id(client: TMSClient) -> str:
    """An execution of three shards."""
    config = {"testSuite": "ui", "environment": "dev", "provider": "ci", "configuration": {"shards": 3}}
    return client.create_execution(config)["executionId"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `tms` runs, with four reports."""
    (tmp_path / "first.xml").write_text(FIRST)
    (tmp_path / "second.xml").write_text(SECOND)
    (tmp_path / "third.json").write_text(json.dumps(THIRD))
    (tmp_path / "bad.xml").write_text(BAD)
    return tmp_path


def created(output: str) -> str:
    """The execution that a command says it has made."""
    return next(word for word in output.split() if word.startswith("exec_"))


def totals(execution: Any) -> tuple[int, int, int, int]:
    return tuple(execution["results"][name] for name in ("passed", "failed", "skipped", "flaky"))


@pytest.mark.usefixtures("folder")
def test_each_file_is_a_shard_of_a_new_execution(client: TMSClient, server: Server, tms: Tms) -> None:
    done = tms("upload", "--suite", "ui", "--environment", "staging", "first.xml", "second.xml", "third.json")
    assert done.returncode == 0, done.stderr
    execution_id = created(done.stdout)
    assert done.stdout.splitlines() == [
        "first.xml: accepted, 2 tests (junit)",
        f"{execution_id} shard 1: 1 passed, 1 failed",
        "second.xml: accepted, 2 tests (junit)",
        f"{execution_id} shard 2: 1 passed, 1 skipped, 1 flaky",
        "third.json: accepted, 1 test (ctrf)",
        "  warning: Left out of account: results.tests[0]: Object contains unknown field `colour`",
        f"{execution_id} shard 3: 1 passed",
    ]
    execution = client.get_execution(execution_id)
    assert (execution["status"], totals(execution)) == ("completed", (3, 1, 1, 1))
    assert [(shard["shardId"], shard["status"]) for shard in execution["shardResults"]] == [
        ("1", "failed"),
        ("2", "completed"),
        ("3", "completed"),
    ]
    fails = next(test for test in server.tests(execution_id) if test["title"] == "fails")
    assert (fails["file"], fails["error"]) == ("pkg.LoginTest", "no")


def test_all_files_together_fill_one_shard_of_an_execution(
    client: TMSClient, server: Server, tms: Tms, folder: Path, execution_id: str
) -> None:
    (folder / "copy.xml").write_text(FIRST)
    into = ("upload", "--execution", execution_id, "--shard", "3")
    done = tms(*into, "first.xml", "third.json", "copy.xml")
    assert done.returncode == 0, done.stderr
    assert "copy.xml: duplicate, 2 tests (junit)" in done.stdout
    assert f"{execution_id} shard 3: 2 passed, 1 failed" in done.stdout
    assert [test["shardId"] for test in server.tests(execution_id)] == ["3", "3", "3"]

    again = tms(*into, "first.xml", "third.json", "copy.xml")

    assert [line.split(",")[0] for line in again.stdout.splitlines() if "tests (junit)" in line] == [
        "first.xml: duplicate",
        "copy.xml: duplicate",
    ]
    assert client.get_execution(execution_id)["results"]["total"] == 3


@pytest.mark.usefixtures("folder")
def test_a_bad_file_is_named_with_its_place_and_nothing_of_its_shard_is_stored(
    server: Server, tms: Tms, execution_id: str
) -> None:
    done = tms("upload", "--execution", execution_id, "first.xml", "bad.xml")
    assert done.returncode == 4
    assert f"  bad.xml: rejected: {BAD_AT}\n" in done.stderr
    assert "  first.xml: rejected: Not stored, since another file of the upload cannot be read\n" in done.stderr
    assert server.tests(execution_id) == []


@pytest.mark.usefixtures("folder")
def test_a_new_execution_that_cannot_get_all_its_shards_is_cancelled_with_the_reason(
    client: TMSClient, tms: Tms
) -> None:
    done = tms("upload", "first.xml", "bad.xml", "second.xml")
    assert done.returncode == 4
    execution_id = created(done.stdout)
    assert f"{execution_id} was cancelled: bad.xml: {BAD_AT}" in done.stdout
    assert "second.xml" not in done.stdout
    assert f"bad.xml: rejected: {BAD_AT}" in done.stderr
    execution = client.get_execution(execution_id)
    assert (execution["status"], totals(execution)) == ("cancelled", (1, 1, 0, 0))
    last = client.events(execution_id)["events"][-1]
    assert (last["event"], last["data"]["reason"]) == ("execution.cancelled", f"bad.xml: {BAD_AT}")


def test_the_client_tells_what_became_of_each_file(client: TMSClient, folder: Path, execution_id: str) -> None:
    stored = client.upload_reports(execution_id, "2", [folder / "second.xml", folder / "third.json"])
    assert [(file["format"], file["status"], file["tests"]) for file in stored["files"]] == [
        ("junit", "accepted", 2),
        ("ctrf", "accepted", 1),
    ]
    assert stored["results"]["total"] == 3
    with pytest.raises(ReportsRejected) as rejected:
        client.upload_reports(execution_id, "2", [folder / "first.xml", folder / "bad.xml"])
    assert (rejected.value.status, rejected.value.code) == (422, "VALIDATION_ERROR")
    assert [(file["format"], file["status"]) for file in rejected.value.files] == [("junit", "rejected")] * 2
    assert rejected.value.files[1]["error"] == BAD_AT


@pytest.mark.parametrize("name", ["größe.xml", 'a "quoted"; name.xml', "back\\slash.xml", "\udcff.xml", "two\r\nlines"])
def test_any_name_of_a_file_arrives(client: TMSClient, tmp_path: Path, execution_id: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(FIRST)
    (file,) = client.upload_reports(execution_id, "1", [path])["files"]
    printed = str(path).replace("\udcff", "\\udcff").replace("\r\n", "??")
    assert (file["file"], file["tests"]) == (printed, 2)


def test_a_file_of_many_pieces_arrives_whole(client: TMSClient, tmp_path: Path, execution_id: str) -> None:
    path = tmp_path / "large.xml"
    case = '<testcase classname="c" name="ä"/>\r\n'
    path.write_text(f"<testsuite>{case * 10_000}</testsuite>", newline="")
    assert client.upload_reports(execution_id, "1", [path])["results"]["total"] == 10_000


def test_what_is_larger_than_the_server_takes_is_refused(client: TMSClient, tmp_path: Path, execution_id: str) -> None:
    path = tmp_path / "huge.xml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(ApiError, match="HTTP 413"):
        client.upload_reports(execution_id, "1", [path])


@pytest.mark.usefixtures("folder")
def test_a_refusal_is_told(tms: Tms) -> None:
    done = tms("upload", "--execution", "exec_404", "first.xml")
    assert done.returncode == 3
    assert "HTTP 404 NOT_FOUND" in done.stderr


@pytest.mark.usefixtures("folder")
def test_a_shard_needs_its_execution(tms: Tms) -> None:
    done = tms("upload", "--shard", "1", "first.xml")
    assert (done.returncode, "--execution" in done.stderr) == (4, True)


# Faults, which the fake has on demand


def send(client: TMSClient, *files: Path) -> str:
    """Upload to a new execution, which fails; returns what was printed."""
    console = Console(file=StringIO(), width=200)
    with pytest.raises((ApiError, ReportError, KeyboardInterrupt)):
        upload(client, files, None, "all", "dev", console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("bad", ["missing.xml", ".", "pipe"])
def test_a_file_that_cannot_be_opened_leaves_nothing_behind(fake: FakeTMS, folder: Path, bad: str) -> None:
    os.mkfifo(folder / "pipe")
    with TMSClient(fake.token, fake.url, retry=QUICK) as client:
        with pytest.raises(ReportError, match=r"No such file|not a regular file") as error:
            upload(client, [folder / "first.xml", folder / bad], None, "all", "dev", Console(file=StringIO()))
        assert str(folder / bad) in str(error.value)
    assert fake.seen == []


def test_an_upload_is_sent_again_whole_and_with_the_same_key(fake: FakeTMS, folder: Path) -> None:
    fake.faults = [
        Fault("POST", REPORTS, status=503),
        Fault("POST", REPORTS, cut=True),
        Fault("POST", REPORTS, status=409),
    ]
    with TMSClient(fake.token, fake.url, retry=QUICK) as client, pytest.raises(ApiError, match="409"):
        client.upload_reports("exec_1", "1", [folder / "first.xml", folder / "third.json"])
    keys = {seen.headers["Idempotency-Key"] for seen in fake.seen}
    bodies = {seen.body for seen in fake.seen}
    assert (len(fake.seen), len(keys), len(bodies)) == (3, 1, 1)
    (body,) = bodies
    assert FIRST.encode() in body
    assert json.dumps(THIRD).encode() in body


def test_any_refusal_cancels_the_new_execution(fake: FakeTMS, folder: Path) -> None:
    fake.faults = [Fault("POST", REPORTS, status=413)]
    with TMSClient(fake.token, fake.url, retry=QUICK) as client:
        printed = send(client, folder / "first.xml", folder / "second.xml")
    (execution,) = fake.executions.values()
    assert execution.status == "cancelled"
    reason = f"{folder / 'first.xml'}: Out of order (HTTP 413 OUT_OF_ORDER, request req_abc123def456)"
    assert execution.events[-1]["data"]["reason"] == reason
    assert f"{execution.execution_id} was cancelled: {reason}" in printed


def test_an_interruption_cancels_the_new_execution(fake: FakeTMS, folder: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    fake.faults = [Fault("POST", REPORTS, status=503)]
    with TMSClient(fake.token, fake.url, sleep=interrupt) as client:
        printed = send(client, folder / "first.xml")
    (execution,) = fake.executions.values()
    assert execution.status == "cancelled"
    reason = f"{folder / 'first.xml'}: the upload was interrupted"
    assert f"{execution.execution_id} was cancelled: {reason}" in printed


def test_a_cancellation_that_fails_is_told_too(fake: FakeTMS, folder: Path) -> None:
    fake.faults = [Fault("POST", REPORTS, status=413), Fault("DELETE", "/api/executions/.*", status=409)]
    with TMSClient(fake.token, fake.url, retry=QUICK) as client:
        printed = send(client, folder / "first.xml")
    (execution_id,) = fake.executions
    assert f"{execution_id} could not be cancelled: Out of order (HTTP 409" in printed


def test_a_file_that_changes_while_it_is_sent_is_told_and_cancels_the_execution(fake: FakeTMS, folder: Path) -> None:
    grows = folder / "first.xml"
    fake.faults = [Fault("POST", REPORTS, status=503, before=lambda: grows.write_text(SECOND * 2))]
    with TMSClient(fake.token, fake.url, retry=QUICK) as client:
        printed = send(client, grows)
    assert f"{grows}: it was written to while it was sent" in printed
    assert [execution.status for execution in fake.executions.values()] == ["cancelled"]
