"""`pytest --tms` as a CI job starts it: same tests, same outcomes, same exit code; each test once over all nodes."""

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.plain_pytest import plain, reported
from tests.sdk.conftest import Server
from tests.sdk.fake_tms import Execution, FakeTMS
from tests.sdk.nodes import ended, node, run
from tests.sdk.test_run import ALL_PASS, OUTCOMES, SKIPPED_MODULE, Project

ID = "exec_20250804000001"


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


def test_fixtures_live_as_long_as_in_plain_pytest_over_all_leases(
    server: Server, execution: Execution, project: Project
) -> None:
    names = [f"test_{number}.py" for number in range(4)]
    folder = project({"conftest.py": FIXTURES, **dict.fromkeys(names, ALL_PASS)})
    code, _ = run(server, folder, TMS_EXECUTION=ID)
    assert code == 0
    assert execution.plan is not None
    assert len(execution.plan.leases) > 2
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
        options = ("-p", "xdist.plugin", "-n", "2")
        nodes = [
            stack.enter_context(node(server, folder, *options, TMS_EXECUTION=ID)),
            stack.enter_context(node(server, folder, "--tms-mode", "static", TMS_EXECUTION=ID)),
            stack.enter_context(node(server, folder, "--tms-mode", "static", TMS_EXECUTION=ID)),
        ]
        ends = [ended(one) for one in nodes]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    assert "with pytest-xdist, shards are fixed beforehand" in ends[0][1]
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert (execution.status, len(execution.shards)) == ("completed", 3)


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
    assert f"{ID} has ended, and not well; a new one can run its tests again" in output
    assert execution.totals()["total"] == 2


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
        ({"TMS_TOKEN": "another"}, "The token is not known"),
        ({"TMS_URL": "ftp://x"}, "Not a server's address"),
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
