"""`pytest --tms` as a CI job starts it: same tests, same outcomes, same exit code; each test once over all nodes."""

from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from tests.plain_pytest import plain, reported
from tests.sdk.conftest import Server
from tests.sdk.fake_tms import Execution, FakeTMS
from tests.sdk.nodes import ended, node, run
from tests.sdk.test_run import ALL_PASS, OUTCOMES, SKIPPED_MODULE, Project

ID = "exec_20250804000001"
STATIC = ("--tms-mode", "static")
WITH_XDIST = ("-p", "xdist.plugin", "-n", "2")


@pytest.fixture
def execution(fake: FakeTMS) -> Execution:
    """One that several nodes share."""
    return fake.add_execution(ID, configuration={"shards": 3})


@pytest.mark.parametrize("mode", ["static", "queue"])
def test_nodes_run_each_test_once_with_the_outcomes_of_plain_pytest(
    execution: Execution, server: Server, project: Project, mode: str
) -> None:
    files = {f"test_{number}.py": ALL_PASS for number in range(6)}
    folder = project({"test_outcomes.py": OUTCOMES, "sub/test_module.py": SKIPPED_MODULE, **files})
    exit_code, expected = plain(folder)
    with ExitStack() as stack:
        nodes = [stack.enter_context(node(server, folder, "--tms-mode", mode, TMS_EXECUTION=ID)) for _ in range(3)]
        ends = [ended(one) for one in nodes]
    assert reported(server.tests(ID)) == expected
    assert max(code for code, _ in ends) == exit_code == 1
    assert {code for code, _ in ends} <= {0, 1}
    assert execution.status == "completed"
    assert execution.plan is not None
    assert set(execution.plan.state.values()) == {"reported"}
    assert execution.plan.late == []


def test_a_node_of_its_own_makes_an_execution_and_its_output_is_pytests(
    fake: FakeTMS, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": ALL_PASS, "test_b.py": "def test_bad(): assert 0, 'the reason'\n"})
    code, output = run(server, folder)
    assert code == 1
    assert "collected 8 items" in output
    assert "the reason" in output
    assert "1 failed, 7 passed" in output
    (execution,) = fake.executions.values()
    assert execution.body["configuration"]["retries"] == 3
    assert (execution.status, execution.totals()["total"]) == ("completed", 8)


FIXTURES = """
import pathlib, pytest
log = pathlib.Path(__file__).with_name("log")
def tell(words):
    with log.open("a") as file:
        file.write(words + "\\n")

@pytest.fixture(scope="session", autouse=True)
def session():
    tell("session begins")
    yield
    tell("session ends")

@pytest.fixture(scope="module", autouse=True)
def module(request):
    tell(f"{request.node.name} begins")
    yield
    tell(f"{request.node.name} ends")
"""


@pytest.mark.parametrize(("gives_ahead", "leases"), [(True, 1), (False, 3)])
def test_fixtures_live_as_long_as_in_plain_pytest_over_all_leases(
    *, fake: FakeTMS, server: Server, execution: Execution, project: Project, gives_ahead: bool, leases: int
) -> None:
    fake.gives_ahead = gives_ahead
    names = [f"test_{number}.py" for number in range(4)]
    folder = project({"conftest.py": FIXTURES, **dict.fromkeys(names, ALL_PASS)})
    code, _ = run(server, folder, TMS_EXECUTION=ID)
    assert code == 0
    assert execution.plan is not None
    assert len(execution.plan.leases) >= leases
    log = (folder / "log").read_text().splitlines()
    assert log[0] == "session begins"
    assert log[-1] == "session ends"
    assert Counter(log) == Counter(
        ["session begins", "session ends"] + [f"{name} {verb}" for name in names for verb in ("begins", "ends")]
    )
    for name in names:
        assert log.index(f"{name} ends") == log.index(f"{name} begins") + 1


@pytest.mark.parametrize(
    ("arguments", "reports"),
    [(("-x",), 2), (("--maxfail=2",), 3), (("-k", "not bad"), 2), (("-m", "slow"), 1)],
    ids=["-x", "--maxfail", "-k", "-m"],
)
def test_pytests_options_mean_what_they_mean(
    fake: FakeTMS, server: Server, project: Project, arguments: tuple[str, ...], reports: int
) -> None:
    folder = project(
        {
            "pytest.ini": "[pytest]\nmarkers = slow\n",
            "test_a.py": "import pytest\ndef test_good(): pass\ndef test_bad(): assert 0\n"
            "def test_bad_too(): assert 0\n@pytest.mark.slow\ndef test_slow(): pass\n",
        }
    )
    plain_code, _ = plain(folder, *arguments)
    code, output = run(server, folder, *arguments)
    assert code == plain_code, output
    (execution,) = fake.executions.values()
    assert execution.totals()["total"] == reports


def test_failures_in_quarantine_are_shown_and_reported_and_do_not_fail_the_run(
    fake: FakeTMS, server: Server, project: Project
) -> None:
    fake.quarantined = {"test_shaky"}
    folder = project({"test_a.py": "def test_good(): pass\ndef test_shaky(): assert 0, 'the reason'\n"})
    code, output = run(server, folder, "-x", "--junitxml=report.xml")
    assert code == 0, output
    assert "QUARANTINED test_a.py::test_shaky" in output
    assert "the reason" in output
    assert "1 passed, 1 quarantined" in output
    (execution,) = fake.executions.values()
    assert (execution.totals()["failed"], execution.shards["1"]["status"]) == (1, "completed")
    assert "the reason" in server.tests(execution.execution_id)[1]["error"]


def test_reruns_are_attempts(fake: FakeTMS, server: Server, project: Project) -> None:
    folder = project({"test_a.py": "tries = []\ndef test_flaky():\n    tries.append(1)\n    assert len(tries) > 2\n"})
    code, _ = run(server, folder, "-p", "pytest_rerunfailures", "--reruns", "3")
    assert code == 0
    (execution,) = fake.executions
    (test,) = server.tests(execution)
    assert (test["status"], test["retries"]) == ("passed", 2)
    assert [attempt["status"] for attempt in test["attempts"]] == ["failed", "failed"]
    assert all("len(tries) > 2" in attempt["error"] for attempt in test["attempts"])


def test_with_xdist_the_workers_run_the_shard(execution: Execution, server: Server, project: Project) -> None:
    files = {f"test_{number}.py": ALL_PASS for number in range(5)}
    folder = project({"sub/test_module.py": SKIPPED_MODULE, **files})
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(node(server, folder, *options, "--tms-shard", shard, TMS_EXECUTION=ID))
            for shard, options in (("1", WITH_XDIST), ("2", STATIC), ("3", STATIC))
        ]
        ends = [ended(one) for one in nodes]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    assert "with pytest-xdist, shards are fixed beforehand" in ends[0][1]
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert (execution.status, len(execution.shards)) == ("completed", 3)


def test_a_node_with_xdist_does_not_wait_for_what_others_may_lose(
    execution: Execution, server: Server, project: Project
) -> None:
    folder = project({f"test_{number}.py": ALL_PASS for number in range(3)})
    code, output = run(server, folder, *WITH_XDIST, TMS_EXECUTION=ID)
    assert (code, "7 passed" in output) == (0, True), output
    assert execution.plan is not None
    assert Counter(execution.plan.state.values()) == {"reported": 7, "waiting": 14}
    assert list(execution.shards) == ["1"]


def test_more_nodes_than_tests_are_no_failure(execution: Execution, server: Server, project: Project) -> None:
    folder = project({"test_a.py": "def test_one(): pass\n"})
    for _ in range(3):
        code, output = run(server, folder, TMS_EXECUTION=ID)
        assert code == 0, output
    assert execution.totals()["total"] == 1


def test_a_node_that_is_started_again_does_not_turn_a_failed_build_green(
    execution: Execution, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": "def test_good(): pass\ndef test_bad(): assert 0\n"})
    assert run(server, folder, TMS_EXECUTION=ID)[0] == 1
    assert execution.status == "completed"
    code, output = run(server, folder, TMS_EXECUTION=ID)
    assert code == 1, output
    assert f"{ID} has failed, by other nodes' failures or missing tests: http://reports/{ID}" in output
    assert execution.totals()["total"] == 2


def test_whoever_ends_the_execution_has_its_verdict(execution: Execution, server: Server, project: Project) -> None:
    names = {number: f"test_{number}.py" for number in (1, 2, 3)}
    bad = "def test_bad(): assert 0\n"
    folder = project({name: bad if number == 1 else ALL_PASS for number, name in names.items()})
    ends = {}
    for shard in ("1", "2", "3"):
        ends[shard] = run(server, folder, *STATIC, "--tms-shard", shard, TMS_EXECUTION=ID)
    by_shard = {shard: ("failed" in output, code) for shard, (code, output) in ends.items()}
    assert execution.status == "completed"
    assert by_shard == {"1": (False, 0), "2": (False, 0), "3": (True, 1)}
    assert run(server, folder, *STATIC, "--tms-shard", "1", TMS_EXECUTION=ID)[0] == 1


def test_failures_in_quarantine_are_no_bad_end(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.quarantined = {"test_shaky"}
    folder = project({"test_a.py": "def test_shaky(): assert 0\n"})
    assert run(server, folder, TMS_EXECUTION=ID)[0] == 0
    assert run(server, folder, TMS_EXECUTION=ID)[0] == 0
    assert execution.totals()["failed"] == 1


def planned(server: Server, *names: str) -> None:
    """Another node has made the plan."""
    tests = [dict(zip(("file", "title"), name.split("::"), strict=True)) for name in names]
    with server.client() as client:
        client.put_plan(ID, {"mode": "queue", "tests": tests})


@pytest.mark.usefixtures("execution")
def test_a_test_that_a_node_is_given_and_has_not_collected_has_failed(server: Server, project: Project) -> None:
    planned(server, "test_a.py::test_here", "test_a.py::test_elsewhere[1]")
    folder = project({"test_a.py": "def test_here(): pass\n"})
    code, output = run(server, folder, TMS_EXECUTION=ID)
    assert code == 1, output
    assert "1 planned tests were not collected here: test_a.py::test_elsewhere[1]" in output
    tests = {test["title"]: test for test in server.tests(ID)}
    assert {title: test["status"] for title, test in tests.items()} == {
        "test_here": "passed",
        "test_elsewhere[1]": "failed",
    }
    assert "has not collected it" in tests["test_elsewhere[1]"]["error"]


def test_tests_that_no_other_node_has_collected_fail_the_build(
    execution: Execution, server: Server, project: Project
) -> None:
    planned(server, "test_a.py::test_here")
    folder = project({"test_a.py": "def test_here(): pass\ndef test_mine(): pass\n"})
    code, output = run(server, folder, TMS_EXECUTION=ID)
    assert code == 1, output
    assert "1 tests collected here are not in the plan, and nobody runs them: test_a.py::test_mine." in output
    assert (execution.status, execution.totals()["passed"]) == ("completed", 1)
    assert execution.shards["1"]["status"] == "failed"


def test_a_pytest_that_ends_well_too_early_fails_the_build(fake: FakeTMS, server: Server, project: Project) -> None:
    folder = project({"test_a.py": "import pytest\ndef test_a(): pytest.exit('', 0)\ndef test_b(): pass\n"})
    assert plain(folder)[0] == 0
    code, output = run(server, folder)
    assert code == 1, output
    assert "2 tests were not run, though pytest ended well: test_a.py::test_a" in output
    (execution,) = fake.executions.values()
    assert execution.status == "completed"


def test_only_what_failed_or_is_missing_is_run_again(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.add_execution("exec_again", configuration={"shards": 2})
    tests = "import pathlib\ndef test_good(): pass\ndef test_bad(): assert pathlib.Path('mended').exists()\n"
    folder = project({"test_a.py": tests, "test_b.py": ALL_PASS})
    assert run(server, folder)[0] == 1
    former = next(one for one in fake.executions if one != "exec_again")
    (folder / "mended").touch()
    for passed in (True, False):
        again = ("--tms-rerun", former, "--tms-order", "failed-first")
        code, output = run(server, folder, *again, TMS_EXECUTION="exec_again")
        assert (code, "1 passed" in output) == (0, passed), output
        assert "1 of 9 tests are run again; the others are left out" in output
    assert [test["title"] for test in server.tests("exec_again")] == ["test_bad"]
    plan = fake.executions["exec_again"].plan
    assert plan is not None
    assert (plan.body["rerunOf"], plan.body["order"]) == (former, "failedFirst")


def test_endless_names_are_cut_and_stay_apart(fake: FakeTMS, server: Server, project: Project) -> None:
    tests = (
        "import pytest\n@pytest.mark.parametrize('n', [1, 2], ids=['x' * 5000 + '1', 'x' * 5000 + '2'])\n"
        "def test_long(n): assert n == 1\n"
    )
    folder = project({"test_a.py": tests})
    code, output = run(server, folder)
    assert (code, "1 failed, 1 passed" in output) == (1, True), output
    (execution,) = fake.executions.values()
    assert execution.plan is not None
    assert set(execution.plan.state.values()) == {"reported"}
    assert {len(title) for _, title in execution.plan.tests} == {4096}


def test_a_pytest_that_a_test_starts_is_no_node(fake: FakeTMS, server: Server, project: Project) -> None:
    folder = project(
        {
            "inner.py": "def test_inner(): assert 0\n",
            "test_outer.py": """
import os, subprocess, sys
def test_outer():
    assert "--tms" not in os.environ.get("PYTEST_ADDOPTS", "")
    done = subprocess.run([sys.executable, "-m", "pytest", "inner.py"], capture_output=True, text=True)
    assert "1 failed" in done.stdout
""",
        }
    )
    code, output = run(server, folder, PYTEST_ADDOPTS="-p tms_sdk.pytest_loader --tms --tms-mode static -q")
    assert code == 0, output
    assert [execution.totals()["total"] for execution in fake.executions.values()] == [1]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TMS_TOKEN": ""}, "No API token"),
        ({"TMS_TOKEN": "another", "TMS_EXECUTION": ID}, "The token is not known"),
        ({"TMS_URL": "ftp://x", "TMS_EXECUTION": ID}, "Not a server's address"),
        ({"TMS_EXECUTION": "exec_unknown"}, "There is no such execution"),
        ({"TMS_NODE_INDEX": "7"}, "TMS_NODE_INDEX counts from 0"),
    ],
    ids=str,
)
def test_what_can_never_work_is_wrong_usage_and_nothing_is_run(
    server: Server, project: Project, environ: dict[str, str], words: str
) -> None:
    folder = project({"test_a.py": "import pathlib\ndef test_x(): pathlib.Path('ran').touch()\n"})
    code, output = run(server, folder, **environ)
    assert (code, words in output) == (4, True), output
    assert not (folder / "ran").exists()


def test_a_shard_begins_with_its_first_tests_and_not_with_collecting(
    fake: FakeTMS, server: Server, project: Project
) -> None:
    notes = "import datetime, pathlib\ndef pytest_collection_finish():\n"
    notes += "    pathlib.Path('collected').write_text(datetime.datetime.now(datetime.UTC).isoformat())\n"
    folder = project({"test_a.py": ALL_PASS, "conftest.py": notes})
    assert run(server, folder)[0] == 0
    (closed,) = fake.requests("POST", "/api/results")
    collected = datetime.fromisoformat((folder / "collected").read_text())
    began, ended = (datetime.fromisoformat(closed.body["metadata"][name]) for name in ("startTime", "endTime"))
    assert collected - timedelta(milliseconds=1) < began <= ended  # it is told in whole milliseconds
