"""`pytest --tms` while things go wrong: signals, killed processes, a server that cancels, is away, or comes back."""

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.plain_pytest import plain, reported
from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import Execution, FakeTMS, Fault
from tests.sdk.nodes import ended, node, run
from tests.sdk.test_run import ALL_PASS, Project
from tests.sdk.test_run_faults import HANGS, pids, until

ID = "exec_20250804000001"
STATIC = ("--tms-mode", "static")
EVERYTHING = "/api/.*"

# A test that waits for a file beside it.
WAITS = """
import pathlib, time
def test_waits():
    pathlib.Path(__file__ + ".waits").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""


@pytest.fixture
def execution(fake: FakeTMS) -> Execution:
    return fake.add_execution(ID, configuration={"shards": 2})


def waits(folder: Path, name: str = "test_a.py") -> None:
    until((folder / f"{name}.waits").exists)


def away(*, times: int = 1_000_000) -> list[Fault]:
    """A server that answers nothing."""
    return [Fault(method, EVERYTHING, times=times, cut=True) for method in ("GET", "POST", "PUT", "DELETE")]


def test_sigterm_lets_the_running_test_end_and_hands_the_rest_back(
    execution: Execution, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": WAITS + "def test_after(): pass\n", "test_b.py": ALL_PASS})
    with node(server, folder, "--tms-mode", "static", "--tms-shard", "2", TMS_EXECUTION=ID) as process:
        waits(folder)
        process.send_signal(signal.SIGTERM)
        (folder / "go").touch()
        code, output = ended(process)
    assert (code, "SIGTERM" in output) == (2, True), output
    assert execution.plan is not None
    state = {title: state for (_, title), state in execution.plan.state.items() if not title.startswith("test_n")}
    assert state == {"test_waits": "reported", "test_after": "waiting"}
    assert not any(lease.is_open for lease in execution.plan.leases.values())
    for shard in ("1", "2"):
        assert run(server, folder, "--tms-mode", "static", "--tms-shard", shard, TMS_EXECUTION=ID)[0] == 0
    assert (execution.status, execution.totals()["total"]) == ("completed", 9)


def test_sigterm_ends_a_test_that_takes_too_long(execution: Execution, server: Server, project: Project) -> None:
    folder = project({"test_a.py": HANGS})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        _, child = pids(folder / "test_a.py")
        process.send_signal(signal.SIGTERM)
        code, output = ended(process)
        psutil.Process(child).kill()
    assert code == 2, output
    assert execution.plan is not None
    assert set(execution.plan.state.values()) == {"waiting"}


def test_a_node_killed_with_its_companion_loses_its_lease_to_others(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.lease_seconds = 1.0
    folder = project({"test_a.py": WAITS, **{f"test_{number}.py": ALL_PASS for number in range(3)}})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        for one in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
            one.kill()
    (folder / "go").touch()
    code, output = run(server, folder, TMS_EXECUTION=ID)
    assert code == 0, output
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert execution.plan is not None
    assert len({lease.runner_id for lease in execution.plan.leases.values()}) == 2


def test_a_pytest_that_is_killed_is_reported_by_its_companion_and_others_go_on(
    execution: Execution, server: Server, project: Project
) -> None:
    dies = "import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGKILL)\ndef test_after(): pass\n"
    folder = project({"test_a.py": dies, "test_b.py": ALL_PASS})
    code, _ = run(server, folder, TMS_EXECUTION=ID)
    assert code == -signal.SIGKILL
    plan = execution.plan
    assert plan is not None
    until(lambda: not any(lease.is_open for lease in plan.leases.values()))
    assert run(server, folder, TMS_EXECUTION=ID)[0] == 1, "the execution's verdict"
    tests = {test["title"]: test for test in server.tests(ID)}
    assert tests["test_dies"]["status"] == "failed"
    assert "has died while this test ran" in tests["test_dies"]["error"]
    assert tests["test_after"]["status"] == "passed"
    assert (execution.status, execution.totals()["total"]) == ("completed", 9)


DIES = "import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGKILL)\ndef test_after(): pass\n"


def test_what_a_dead_pytest_leaves_of_a_fixed_shard_others_run(
    execution: Execution, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": DIES, "test_b.py": WAITS})
    with node(server, folder, *STATIC, "--tms-shard", "2", TMS_EXECUTION=ID) as other:
        waits(folder, "test_b.py")
        assert run(server, folder, *STATIC, TMS_EXECUTION=ID)[0] == -signal.SIGKILL
        with node(server, folder, *STATIC, TMS_EXECUTION=ID) as third:
            until(lambda: {"test_dies", "test_after"} <= {test["title"] for test in server.tests(ID)})
            (folder / "go").touch()
            ends = [ended(other), ended(third)]
    assert [code for code, _ in ends].count(1) >= 1, ends
    tests = {test["title"]: test["status"] for test in server.tests(ID)}
    assert tests == {"test_dies": "failed", "test_after": "passed", "test_waits": "passed"}
    assert execution.status == "completed"
    assert execution.late_ends == []


def test_what_a_dead_pytest_leaves_of_a_fixed_shard_is_missing_where_nobody_is_at_work(
    execution: Execution, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": DIES, "test_b.py": ALL_PASS})
    assert run(server, folder, *STATIC, "--tms-shard", "1", TMS_EXECUTION=ID)[0] == 0
    assert run(server, folder, *STATIC, "--tms-shard", "2", TMS_EXECUTION=ID)[0] == -signal.SIGKILL
    until(lambda: execution.status == "completed")
    assert execution.plan is not None
    assert execution.plan.state["test_a.py", "test_after"] == "missing"
    assert execution.shards["2"]["status"] == "failed"
    assert execution.late_ends == []


@pytest.mark.usefixtures("execution")
def test_a_companion_that_is_killed_costs_reports_but_no_test(server: Server, project: Project) -> None:
    more = "import pathlib\ndef test_more(): pathlib.Path('more').touch()\n"
    folder = project({"test_a.py": WAITS, "test_b.py": more, "test_c.py": more})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        (companion,) = psutil.Process(process.pid).children()
        companion.kill()
        (folder / "go").touch()
        code, output = ended(process)
    assert (code, "3 passed" in output) == (0, True), output
    assert "the runner beside pytest has died" in output
    assert (folder / "more").exists()


def test_an_execution_that_is_cancelled_stops_its_nodes(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.lease_seconds = 1.0
    folder = project({"test_a.py": WAITS, "test_b.py": ALL_PASS})
    with node(server, folder, "-v", TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.happen(ID, "execution.cancelled", {"reason": "by somebody"})
        code, output = ended(process)
    assert code == 2
    assert execution.status == "cancelled"
    assert "Interrupt" in output


def test_a_lease_that_lapsed_is_abandoned_and_its_tests_count_once(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.lease_seconds = 1.0
    folder = project({"test_a.py": WAITS + "def test_after(): pass\n"})
    with node(server, folder, TMS_EXECUTION=ID) as first:
        waits(folder)
        (companion,) = psutil.Process(first.pid).children()
        companion.suspend()
        with node(server, folder, TMS_EXECUTION=ID) as second:
            plan = execution.plan
            assert plan is not None
            until(lambda: sum(bool(lease.tests) for lease in list(plan.leases.values())) == 2)
            (folder / "go").touch()
            assert ended(second)[0] == 0
        companion.resume()
        assert ended(first)[0] == 0
    assert execution.totals()["total"] == 2
    assert all(test["title"] in {"test_waits", "test_after"} for test in plan.late)
    assert execution.late_ends == []


# Away


@pytest.mark.parametrize("indexes", [True, False], ids=["shares", "no indexes"])
def test_without_a_server_nodes_run_their_shares_and_send_them_later(
    fake: FakeTMS, execution: Execution, server: Server, project: Project, tms: Tms, *, indexes: bool
) -> None:
    folder = project({f"test_{number}.py": ALL_PASS for number in range(4, 10)})
    fake.faults = away()
    for index in range(2):
        environ = {"CI_NODE_INDEX": str(index + 1), "CI_NODE_TOTAL": "2"} if indexes else {}
        code, output = run(server, folder, TMS_EXECUTION=ID, **environ)
        assert code == 0, output
        assert "the server is away" in output
        assert "`tms send` delivers them" in output
    assert len(list((folder / ".tms-spool").iterdir())) == 2
    fake.faults = []
    done = tms("send")
    assert done.returncode == 0, done.stdout + done.stderr
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert execution.totals()["total"] == 42
    assert not (folder / ".tms-spool").exists()
    assert "Nothing waits" in tms("send").stdout


def test_a_server_that_something_else_answers_for_is_away(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.faults = [Fault(method, EVERYTHING, 1_000_000, 404, in_front=True) for method in ("GET", "POST", "PUT")]
    folder = project({"test_a.py": ALL_PASS})
    code, output = run(server, folder, TMS_EXECUTION=ID)
    assert (code, "7 passed" in output) == (0, True), output
    assert "the server is away; 7 tests are run without it. <h1>404</h1>default backend (HTTP 404" in output
    assert "7 results wait in" in output


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_taken_away_on_the_way_costs_no_test_and_no_result(
    fake: FakeTMS, execution: Execution, server: Server, project: Project, tms: Tms, status: int
) -> None:
    folder = project({"test_a.py": WAITS, "test_b.py": ALL_PASS})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.faults = [Fault(method, EVERYTHING, 1_000_000, status) for method in ("GET", "POST", "PUT", "DELETE")]
        (folder / "go").touch()
        code, output = ended(process)
    assert (code, "8 passed" in output) == (0, True), output
    fake.faults = []
    refused = tms("send", "--token", "another")
    assert (refused.returncode, "The token is not known" in refused.stderr) == (3, True)
    assert tms("send").returncode == 0
    assert execution.totals()["passed"] == 8


def test_results_that_are_refused_stay_on_disk(
    fake: FakeTMS, execution: Execution, server: Server, project: Project, tms: Tms
) -> None:
    folder = project({"test_a.py": WAITS})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.faults = away()
        (folder / "go").touch()
        ended(process)
    fake.faults = [Fault("POST", ".*/shards/./tests", status=413)]
    assert tms("send").returncode == 3
    assert tms("send").returncode == 0
    assert execution.totals()["passed"] == 1


def test_quarantine_holds_while_the_server_is_away(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.quarantined = {"test_shaky"}
    folder = project({"test_a.py": WAITS, "test_b.py": ALL_PASS, "test_c.py": "def test_shaky(): assert 0\n"})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.faults = away()
        assert execution.plan is not None
        assert execution.plan.state["test_c.py", "test_shaky"] == "waiting"
        (folder / "go").touch()
        code, output = ended(process)
    assert "the server is away" in output
    assert (code, "8 passed, 1 quarantined" in output) == (0, True), output


def test_a_failure_fails_the_build_while_the_server_is_away(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.faults = away()
    folder = project({"test_a.py": "def test_bad(): assert 0\n"})
    assert run(server, folder)[0] == 1


def test_without_an_execution_nodes_run_shares_that_become_one_later(
    fake: FakeTMS, server: Server, project: Project, tms: Tms
) -> None:
    folder = project({f"test_{number}.py": ALL_PASS for number in range(4, 10)})
    for index in range(2):
        environ = {"TMS_NODE_INDEX": str(index), "TMS_NODE_TOTAL": "2", "TMS_EXECUTION": ""}
        assert run(server, folder, **environ)[0] == 0
    assert fake.executions == {}
    assert tms("send").returncode == 0
    (execution,) = fake.executions.values()
    assert (execution.status, execution.totals()["passed"], len(execution.shards)) == ("completed", 42, 2)


def test_a_server_that_comes_back_gets_what_was_run_and_deals_out_the_rest(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    folder = project({"test_a.py": WAITS, **{f"test_{number}.py": ALL_PASS for number in range(4)}})
    fake.faults = away()
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.faults = []
        until(lambda: execution.plan is not None and bool(execution.plan.leases))
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 0, output
    assert "29 passed" in output
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert execution.status == "completed"
    assert not (folder / ".tms-spool").exists()


@pytest.mark.usefixtures("execution")
def test_a_server_that_goes_away_on_the_way_gets_each_result_once(
    fake: FakeTMS, server: Server, project: Project, tms: Tms
) -> None:
    folder = project({"test_a.py": WAITS, **{f"test_{number}.py": ALL_PASS for number in range(4)}})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        fake.faults = away()
        (folder / "go").touch()
        code, output = ended(process)
    assert (code, "29 passed" in output) == (0, True), output
    fake.faults = []
    assert tms("send").returncode == 0
    assert reported(server.tests(ID)) == plain(folder)[1]


def test_results_of_tests_that_others_ran_meanwhile_come_late(
    fake: FakeTMS, execution: Execution, server: Server, project: Project, tms: Tms
) -> None:
    folder = project({f"test_{number}.py": ALL_PASS for number in range(2)})
    fake.faults = away()
    run(server, folder, TMS_EXECUTION=ID)
    fake.faults = []
    assert run(server, folder, "--tms-spool", "another", TMS_EXECUTION=ID)[0] == 0
    done = tms("send")
    assert (done.returncode, "14 late" in done.stdout) == (0, True), done.stdout + done.stderr
    assert execution.totals()["total"] == 14


def test_create_prints_the_id_and_nothing_where_the_server_is_away(fake: FakeTMS, tms: Tms) -> None:
    done = tms("create", "--shards", "4", "--suite", "api")
    assert done.stdout.split() == list(fake.executions)
    (execution,) = fake.executions.values()
    assert execution.body["configuration"] == {"shards": 4, "parallel": True, "retries": 3}
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = tms("create", "--url", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (done.returncode, done.stdout) == (0, "")
    assert "run shares of their own" in done.stderr
    assert tms("create", "--token", "another").returncode == 3
    for fault in (Fault("POST", EVERYTHING, 1_000_000, 503), Fault("POST", EVERYTHING, status=404, in_front=True)):
        fake.faults = [fault]
        done = tms("create")
        assert (done.returncode, done.stdout) == (0, "")


def test_a_spool_that_is_still_written_to_is_left_to_its_run(
    fake: FakeTMS, execution: Execution, server: Server, project: Project, tms: Tms
) -> None:
    folder = project({"test_0.py": ALL_PASS, "test_a.py": WAITS})
    fake.faults = away()
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        until((folder / ".tms-spool").exists)
        fake.faults = []
        os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGSTOP)
        done = tms("send")
        os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGCONT)
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 0, output
    assert "its run goes on" in done.stdout or "Nothing waits" in done.stdout
    assert execution.totals()["total"] == 8
