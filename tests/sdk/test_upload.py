"""`tms upload`."""

from pathlib import Path

from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import FakeTMS

FIRST = """<testsuite name="Login"><testcase classname="pkg.LoginTest" name="works" time="1.5"/>
<testcase classname="pkg.LoginTest" name="fails"><failure message="no"/></testcase></testsuite>"""
SECOND = """<testsuites><testsuite><testcase classname="c" name="flaky"><flakyFailure/></testcase>
<testcase classname="c" name="waits"><skipped/></testcase></testsuite></testsuites>"""


def reports(folder: Path) -> tuple[str, str]:
    (folder / "first.xml").write_text(FIRST)
    (folder / "second.xml").write_text(SECOND)
    return "first.xml", "second.xml"


def test_each_file_is_a_shard_of_a_new_execution(server: Server, tms: Tms, tmp_path: Path) -> None:
    done = tms("upload", "--suite", "ui", "--environment", "staging", *reports(tmp_path))
    assert done.returncode == 0, done.stderr
    with server.client() as client:
        (execution,) = client.list_executions()["executions"]
    assert execution["status"] == "completed"
    assert execution["results"] == {"total": 4, "passed": 2, "failed": 1, "skipped": 1, "flaky": 1}
    assert [(shard["shardId"], shard["status"]) for shard in execution["shardResults"]] == [
        ("1", "failed"),
        ("2", "completed"),
    ]
    tests = {test["title"]: test for test in server.tests(execution["executionId"])}
    assert (tests["works"]["file"], tests["works"]["duration"]) == ("pkg.LoginTest", 1500)
    assert tests["fails"]["error"] == "no"
    assert execution["executionId"] in done.stdout


def test_all_files_together_fill_one_shard_of_an_execution(
    fake: FakeTMS, server: Server, tms: Tms, tmp_path: Path
) -> None:
    fake.add_execution("exec_20250804000001", configuration={"shards": 3})
    done = tms("upload", "--execution", "exec_20250804000001", "--shard", "3", *reports(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {test["shardId"] for test in server.tests("exec_20250804000001")} == {"3"}
    assert len(server.tests("exec_20250804000001")) == 4


def test_a_report_that_cannot_be_read_leaves_nothing_behind(fake: FakeTMS, tms: Tms, tmp_path: Path) -> None:
    first, _ = reports(tmp_path)
    (tmp_path / "bad.xml").write_text("<testsuite>\n<testcase>\n</testsuite>")
    done = tms("upload", first, "bad.xml")
    assert done.returncode == 4
    assert "bad.xml:3: not well-formed XML: mismatched tag" in done.stderr
    assert fake.seen == []


def test_a_refusal_is_told(tms: Tms, tmp_path: Path) -> None:
    done = tms("upload", "--execution", "exec_404", *reports(tmp_path))
    assert done.returncode == 3
    assert "HTTP 404 NOT_FOUND" in done.stderr


def test_a_shard_needs_its_execution(tms: Tms, tmp_path: Path) -> None:
    done = tms("upload", "--shard", "1", *reports(tmp_path))
    assert (done.returncode, "--execution" in done.stderr) == (4, True)
