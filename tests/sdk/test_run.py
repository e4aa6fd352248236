"""`tms run` on real pytest projects: what the server has afterwards is what plain pytest reports, test by test."""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plain_pytest import PYTEST, plain, reported
from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import FakeTMS, Fault

Project = Callable[[dict[str, str]], Path]

OUTCOMES = """
import unittest
import pytest

def test_passes():
    pass

def test_fails():
    print("captured words")
    assert 1 == 2, "the reason"

def test_skips():
    pytest.skip("not today")

@pytest.mark.skipif(True, reason="never")
def test_skipped_by_mark():
    pass

@pytest.mark.xfail
def test_xfails():
    assert False

@pytest.mark.xfail
def test_xpasses():
    pass

@pytest.mark.xfail(strict=True)
def test_xpasses_strictly():
    pass

@pytest.mark.xfail(raises=ValueError)
def test_fails_otherwise_than_expected():
    raise TypeError("other")

@pytest.fixture
def broken_setup():
    raise ValueError("setup")

@pytest.fixture
def broken_teardown():
    yield
    raise ValueError("teardown")

def test_setup_error(broken_setup):
    pass

def test_teardown_error(broken_teardown):
    pass

def test_fails_and_teardown_error(broken_teardown):
    assert False, "call"

def test_skips_and_teardown_error(broken_teardown):
    pytest.skip("still torn down")

@pytest.mark.parametrize("value", ["a b", "é::x", "[1]", 1.5, ""])
class TestValues:
    def test_value(self, value):
        assert value != "[1]"

    class TestInner:
        def test_inner(self, value):
            pass

class Cases(unittest.TestCase):
    def test_case(self):
        self.fail("no")

    @unittest.skip("no")
    def test_skipped_case(self):
        pass

    @unittest.expectedFailure
    def test_expected(self):
        self.fail("expected")

    @unittest.expectedFailure
    def test_unexpected(self):
        pass

def test_subtests(subtests):
    with subtests.test("a"):
        assert False
    with subtests.test("b"):
        pytest.skip("inner")

def test_subtest_skips(subtests):
    with subtests.test("b"):
        pytest.skip("inner")
"""

SKIPPED_MODULE = "import pytest\npytest.skip('all of it', allow_module_level=True)\n"
NEEDS_MORE = "import pytest\npytest.importorskip('there_is_no_such_module')\ndef test_x(): pass\n"
ALL_PASS = "import pytest\n@pytest.mark.parametrize('n', range(7))\ndef test_n(n): pass\n"


def last_execution(server: Server) -> dict[str, Any]:
    with server.client() as client:
        executions: list[dict[str, Any]] = client.list_executions()["executions"]
        return executions[0]


@pytest.mark.parametrize("shards", ["1", "4"])
def test_every_test_is_reported_as_plain_pytest_reports_it(
    server: Server, tms: Tms, project: Project, shards: str
) -> None:
    folder = project(
        {
            "test_outcomes.py": OUTCOMES,
            "sub/test_module.py": SKIPPED_MODULE,
            "sub/test_needs.py": NEEDS_MORE,
            "sub/conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef here(): yield\n",
            "pkg/__init__.py": "",
            "pkg/test_same.py": ALL_PASS,
            "other/test_more.py": ALL_PASS,
            "test_empty.py": "",
        }
    )
    exit_code, expected = plain(folder)
    done = tms("run", "--shards", shards, "--suite", "smoke", "--environment", "staging", "--", *PYTEST)
    execution = last_execution(server)
    tests = server.tests(execution["executionId"])
    assert reported(tests) == expected
    assert (done.returncode, exit_code) == (1, 1), done.stdout + done.stderr
    assert execution["status"] == "completed"
    assert execution["results"] == {
        "total": len(tests),
        **{status: sum(test["status"] == status for test in tests) for status in ("passed", "failed", "skipped")},
        "flaky": 0,
    }
    assert execution["progress"]["shardsCompleted"] == int(shards)
    assert all(isinstance(test["duration"], int) for test in tests if test["title"] != test["file"])
    files = {file: {test["shardId"] for test in tests if test["file"] == file} for file in {t["file"] for t in tests}}
    assert all(len(shards_of_file) == 1 for shards_of_file in files.values())
    by_title = {test["title"]: test for test in tests}
    assert "the reason" in by_title["test_fails"]["error"]
    assert "captured words" in by_title["test_fails"]["error"]
    assert "ValueError: teardown" in by_title["test_teardown_error"]["error"]
    assert by_title["test_fails_and_teardown_error"]["error"].count("Error") >= 2
    assert "the reason" in done.stdout
    assert "ValueError: setup" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("test_a.py", "test_b.py::test_two", "test_b.py::TestC", "sub"),
        ("-k", "one", "-m", "not slow"),
        ("test_a.py", "test_a.py", "--keep-duplicates"),
        ("-n", "2", "-p", "xdist.plugin"),
        ("--doctest-modules", "--ignore=sub"),
        ("--pyargs", "pkg.test_inside", "test_a.py"),
    ],
    ids=" ".join,
)
def test_the_users_arguments_mean_what_they_mean_to_pytest(
    server: Server, tms: Tms, project: Project, arguments: tuple[str, ...]
) -> None:
    tests = (
        "import pytest\ndef test_one(): pass\n@pytest.mark.slow\ndef test_two(): assert 0\n"
        "class TestC:\n    def test_one(self):\n        '''\n        >>> 1\n        1\n        '''\n"
    )
    folder = project(
        {
            "pytest.ini": "[pytest]\nmarkers = slow\naddopts = -ra\n",
            "test_a.py": tests,
            "test_b.py": tests,
            "sub/test_c.py": tests,
            "pkg/__init__.py": "",
            "pkg/test_inside.py": tests,
        }
    )
    exit_code, expected = plain(folder, *arguments)
    done = tms("run", "--shards", "2", "--", *PYTEST, *arguments)
    # A test that was collected twice runs twice, and is one test all the same.
    once = Counter(dict.fromkeys(expected, 1))
    assert reported(server.tests(last_execution(server)["executionId"])) == once
    assert done.returncode == exit_code


def test_the_command_is_taken_as_a_shell_takes_it(server: Server, tms: Tms, project: Project) -> None:
    folder = project({"tests/test_a.py": ALL_PASS, "tests/test_b.py": ALL_PASS})
    environ = {"PYTEST_ADDOPTS": "-q", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = tms("run", "--shards", "2", "--", "pytest", "-c", "pytest.ini", "tests", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert reported(server.tests(last_execution(server)["executionId"])) == plain(folder, "tests")[1]


def test_a_second_pytest_in_a_shard_is_told_that_it_is_one_too_many(server: Server, tms: Tms, project: Project) -> None:
    project({"test_a.py": ALL_PASS, "test_b.py": ALL_PASS})
    twice = " && ".join([f"{shlex.join(PYTEST)} test_a.py", f"{shlex.join(PYTEST)} test_b.py"])
    done = tms("run", "--shards", "1", "--", "sh", "-c", twice)
    assert done.returncode == 4, done.stdout
    assert "let the command of tms run start pytest once" in done.stdout
    assert [test["file"] for test in server.tests(last_execution(server)["executionId"])] == ["test_a.py"] * 7


def test_marks_are_tags_and_reruns_are_retries(server: Server, tms: Tms, project: Project) -> None:
    project(
        {
            "pytest.ini": "[pytest]\nmarkers =\n    smoke\n    critical(level)\n",
            "test_a.py": """
import pytest
tries = {}

def fail_until(name, good):
    tries[name] = tries.get(name, 0) + 1
    assert tries[name] > good

@pytest.mark.smoke
class TestC:
    @pytest.mark.critical(1)
    @pytest.mark.parametrize("n", [1])
    def test_tagged(self, n):
        pass

def test_flaky():
    fail_until("flaky", 2)

@pytest.fixture
def flaky_teardown():
    yield
    fail_until("teardown", 1)

def test_flaky_teardown(flaky_teardown):
    pass

def test_hopeless():
    fail_until("hopeless", 100)
""",
        }
    )
    done = tms("run", "--shards", "1", "--", *PYTEST, "-p", "pytest_rerunfailures", "--reruns", "2")
    execution = last_execution(server)
    tests = {test["title"]: test for test in server.tests(execution["executionId"])}
    assert {title: (test["status"], test["retries"]) for title, test in tests.items()} == {
        "TestC::test_tagged[1]": ("passed", 0),
        "test_flaky": ("passed", 2),
        "test_flaky_teardown": ("passed", 1),
        "test_hopeless": ("failed", 2),
    }
    assert sorted(tests["TestC::test_tagged[1]"]["tags"]) == ["critical", "smoke"]
    assert execution["results"]["flaky"] == 2
    assert done.returncode == 1


def test_a_pytest_that_a_test_starts_reports_nothing_of_its_own(server: Server, tms: Tms, project: Project) -> None:
    project(
        {
            "inner.py": "def test_inner(): assert 0\n",
            "test_outer.py": """
import subprocess, sys
def test_outer():
    done = subprocess.run([sys.executable, "-m", "pytest", "inner.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
""",
        }
    )
    done = tms("run", "--shards", "2", "--", *PYTEST)
    assert done.returncode == 0, done.stdout
    assert [test["title"] for test in server.tests(last_execution(server)["executionId"])] == ["test_outer"]


def test_a_fork_that_runs_on_as_a_second_pytest_is_not_heard(server: Server, tms: Tms, project: Project) -> None:
    project(
        {
            "test_a.py": """
import os
def test_forks():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
def test_after():
    pass
""",
        }
    )
    done = tms("run", "--shards", "1", "--", *PYTEST)
    assert done.returncode == 0, done.stdout
    tests = server.tests(last_execution(server)["executionId"])
    assert [test["title"] for test in tests] == ["test_forks", "test_after"]


# Each is run by a process of its own: the quick one would otherwise take over the other's.
WAITS_FOR_TWO = "import time\ndef test_x(tmp_path):\n    while len(list({})) < 2: time.sleep(0.01)\n"


def test_shards_do_not_overwrite_each_others_outputs(tms: Tms, project: Project) -> None:
    body = WAITS_FOR_TWO.format("tmp_path.parents[1].iterdir()")
    folder = project({"test_a.py": body, "test_b.py": body})
    done = tms(
        "run", "--shards", "2", "--mode", "static", "--", *PYTEST, "--basetemp=tmp/base", "--junitxml=out/report.xml"
    )
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["report-shard-1.xml", "report-shard-2.xml"]
    assert sorted(path.name for path in (folder / "tmp" / "base").iterdir()) == ["shard-1", "shard-2"]


def test_shards_keep_their_temporary_folders_apart_and_where_pytest_keeps_them(
    tms: Tms, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("root")
    body = WAITS_FOR_TWO.format("tmp_path.parents[3].iterdir()")
    project({"test_a.py": body, "test_b.py": body})
    done = tms(
        *("run", "--shards", "2", "--mode", "static", "--", *PYTEST), environ={"PYTEST_DEBUG_TEMPROOT": str(root)}
    )
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in root.iterdir()) == [f"tms-{os.getuid()}-shard-{number}" for number in (1, 2)]


def test_shards_that_get_nothing_to_run_do_not_hold_up_the_end(server: Server, tms: Tms, project: Project) -> None:
    project({"test_a.py": ALL_PASS})
    done = tms("run", "--shards", "3", "--", *PYTEST)
    execution = last_execution(server)
    assert (done.returncode, execution["status"]) == (0, "completed")
    assert execution["progress"]["shardsCompleted"] == 3
    # One that comes when all of it is done has no results at all.
    totals = sorted(shard["results"]["total"] for shard in execution["shardResults"])
    assert totals[-1] == 7
    assert not any(totals[:-1])


@pytest.mark.parametrize(
    ("files", "arguments", "exit_code", "words"),
    [
        ({"test_a.py": ""}, (), 5, "no tests"),
        ({"test_a.py": ALL_PASS}, ("-k", "nothing_of_that_name"), 5, "deselected"),
        ({"test_a.py": ALL_PASS}, ("--no-such-option",), 4, "unrecognized arguments"),
        ({"test_a.py": ALL_PASS}, ("missing.py",), 4, "file or directory not found"),
        ({"test_a.py": ALL_PASS, "conftest.py": "1 / 0"}, (), 4, "ZeroDivisionError"),
        ({}, ("--version",), 0, "pytest 9"),
    ],
    ids=["empty", "deselected", "option", "missing", "conftest", "version"],
)
def test_where_nothing_can_be_run_pytest_has_the_word_and_no_execution_is_made(
    server: Server,
    tms: Tms,
    project: Project,
    files: dict[str, str],
    arguments: tuple[str, ...],
    exit_code: int,
    words: str,
) -> None:
    project(files)
    done = tms("run", "--shards", "2", "--", *PYTEST, *arguments)
    assert (done.returncode, words in done.stdout) == (exit_code, True), done.stdout + done.stderr
    with server.client() as client:
        assert client.list_executions()["executions"] == []


BROKEN = {"test_a.py": ALL_PASS, "test_broken.py": "import there_is_no_such_module\n", "test_c.py": ALL_PASS}


def test_a_file_that_cannot_be_collected_stops_the_run_as_in_pytest(server: Server, tms: Tms, project: Project) -> None:
    folder = project(BROKEN)
    exit_code, expected = plain(folder)
    done = tms("run", "--shards", "3", "--", *PYTEST)
    execution = last_execution(server)
    tests = server.tests(execution["executionId"])
    assert (done.returncode, exit_code) == (2, 2)
    assert reported(tests) == expected
    assert [test["file"] for test in tests] == ["test_broken.py"]
    assert "there_is_no_such_module" in tests[0]["error"]
    assert "there_is_no_such_module" in done.stdout
    assert execution["status"] == "failed"
    assert [shard["status"] for shard in execution["shardResults"]] == ["error"] * 3


def test_with_continue_on_collection_errors_the_rest_is_run(server: Server, tms: Tms, project: Project) -> None:
    folder = project(BROKEN)
    exit_code, expected = plain(folder, "--continue-on-collection-errors")
    done = tms("run", "--shards", "3", "--", *PYTEST, "--continue-on-collection-errors")
    execution = last_execution(server)
    tests = server.tests(execution["executionId"])
    assert (done.returncode, exit_code) == (1, 1)
    assert reported(tests) == expected
    broken = next(test["shardId"] for test in tests if test["file"] == "test_broken.py")
    statuses = {shard["shardId"]: shard["status"] for shard in execution["shardResults"]}
    assert statuses.pop(broken) == "error"
    assert set(statuses.values()) == {"failed"}, "every process has met the file, and exits as pytest does"


def test_what_a_dead_process_leaves_of_a_fixed_shard_the_others_run(fake: FakeTMS, tms: Tms, project: Project) -> None:
    dies = "import os\ndef test_dies(): os._exit(0)\n" + ALL_PASS
    project({"test_a.py": dies, "test_b.py": ALL_PASS})
    done = tms("run", "--shards", "2", "--mode", "static", "--", *PYTEST)
    assert done.returncode == 3, done.stdout
    (execution,) = fake.executions.values()
    assert execution.totals() == {"total": 15, "passed": 14, "failed": 1, "skipped": 0, "flaky": 0}
    assert execution.late_ends == []


def test_a_test_that_was_run_nowhere_fails_a_run_whose_shards_are_well(
    fake: FakeTMS, tms: Tms, project: Project
) -> None:
    def lose() -> None:
        (execution,) = fake.executions.values()
        assert execution.plan is not None
        execution.plan.state["test_a.py", "test_n[0]"] = "missing"

    project({"test_a.py": ALL_PASS})
    fake.faults = [Fault("POST", "/api/results", before=lose)]
    done = tms("run", "--shards", "1", "--", *PYTEST)
    assert done.returncode == 1, done.stdout
    (execution,) = fake.executions.values()
    assert (execution.status, execution.shards["1"]["status"]) == ("completed", "completed")


def test_what_failed_before_is_run_again(fake: FakeTMS, tms: Tms, project: Project) -> None:
    project({"test_a.py": "def test_good(): pass\ndef test_bad(): assert 0\n"})
    assert tms("run", "--shards", "1", "--", *PYTEST).returncode == 1
    (former,) = fake.executions
    done = tms("run", "--shards", "2", "--rerun", former, "--order", "failed-first", "--", *PYTEST)
    assert done.returncode == 1, done.stdout
    execution = next(one for one in fake.executions.values() if one.execution_id != former)
    assert execution.totals()["total"] == 1
    assert execution.plan is not None
    assert execution.plan.body["order"] == "failedFirst"


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os._exit(0)", "code 0"),
    ],
    ids=["killed", "segfault", "exit"],
)
def test_a_process_that_dies_is_reported_with_the_test_it_died_in(
    server: Server, tms: Tms, project: Project, death: str, words: str
) -> None:
    project(
        {
            "test_a.py": f"""
import ctypes, os, signal, sys
def test_before(): pass
def test_dies():
    os.write(2, b"the last words\\n")
    {death}
def test_after(): pass
""",
            "test_b.py": ALL_PASS,
        }
    )
    done = tms("run", "--shards", "2", "--", *PYTEST, "-s")
    execution = last_execution(server)
    tests = server.tests(execution["executionId"])
    assert done.returncode == 3
    assert execution["status"] == "failed"
    assert sorted(shard["status"] for shard in execution["shardResults"]) == ["completed", "error"]
    of_a = {test["title"]: test for test in tests if test["file"] == "test_a.py"}
    # What the dead process had still to run, the other one has.
    outcomes = {title: test["status"] for title, test in of_a.items()}
    assert outcomes == {"test_before": "passed", "test_dies": "failed", "test_after": "passed"}
    assert words in of_a["test_dies"]["error"]
    assert "the last words" in of_a["test_dies"]["error"]
    assert "the last words" in done.stdout
    assert sum(test["file"] == "test_b.py" for test in tests) == 7
