"""A node that shares its tests with nobody: it begins at once, and the server learns of it meanwhile."""

import os
import signal

import psutil
import pytest

from tests.plain_pytest import plain, reported
from tests.sdk.conftest import Server, Tms
from tests.sdk.fake_tms import FakeTMS, Fault
from tests.sdk.nodes import ended, node, run
from tests.sdk.test_node_faults import WAITS, away, waits
from tests.sdk.test_run import ALL_PASS, SKIPPED_MODULE, Project
from tests.sdk.test_run_faults import until

SHAKY = "def test_shaky(): assert 0, 'the reason'\ndef test_bad(): assert 0\n"


def test_it_begins_before_the_server_answers_and_a_failure_waits_for_the_quarantine(
    fake: FakeTMS, server: Server, project: Project
) -> None:
    fake.quarantined, fake.faults = {"test_shaky"}, away()
    folder = project({"test_a.py": WAITS, "test_b.py": SHAKY, "test_c.py": ALL_PASS, "test_d.py": SKIPPED_MODULE})
    with node(server, folder, "-v", TMS_PATIENCE="60") as process:
        waits(folder)
        assert fake.executions == {}
        (folder / "go").touch()
        fake.faults = []
        code, output = ended(process)
    assert (code, "1 failed, 8 passed, 1 skipped, 1 quarantined" in output) == (1, True), output
    assert "QUARANTINED test_b.py::test_shaky" in output
    (execution,) = fake.executions.values()
    assert reported(server.tests(execution.execution_id)) == plain(folder)[1]
    assert (execution.status, execution.shards["1"]["status"]) == ("completed", "failed")


def test_it_asks_for_nothing_that_it_knows(fake: FakeTMS, server: Server, project: Project) -> None:
    code, output = run(server, project({"test_a.py": ALL_PASS}))
    assert code == 0, output
    asked = [f"{seen.method} {seen.path.rpartition('/')[2]}" for seen in fake.seen]
    assert asked[:3] == ["POST executions", "PUT plan", "POST claims"]
    assert sorted(asked[3:]) == ["POST results", "POST tests"]


def test_it_runs_in_pytests_own_order(server: Server, project: Project) -> None:
    # One that no lease has, which keeps the tests of a file together.
    by_turns = "def pytest_collection_modifyitems(items): items.sort(key=lambda item: item.name)\n"
    both = "def test_1(): pass\ndef test_2(): pass\n"
    folder = project({"conftest.py": by_turns, "test_a.py": both, "test_b.py": both})
    output = run(server, folder, "-v")[1]
    order = [line.split()[0] for line in output.splitlines() if "PASSED" in line]
    assert order == [f"test_{file}.py::test_{number}" for number in (1, 2) for file in ("a", "b")]


@pytest.mark.parametrize(
    ("environ", "words"),
    [({"TMS_TOKEN": "another"}, "The token is not known"), ({"TMS_URL": "ftp://x"}, "Not a server's address")],
    ids=str,
)
def test_it_stops_soon_where_it_is_refused(
    server: Server, project: Project, environ: dict[str, str], words: str
) -> None:
    endless = "import pytest, time\n@pytest.mark.parametrize('n', range(5000))\ndef test_x(n): time.sleep(0.02)\n"
    code, output = run(server, project({"test_a.py": endless}), **environ)
    assert (code, words in output) == (4, True), output
    assert "wait in" not in output


def test_an_execution_whose_plan_is_refused_is_not_left_behind(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.faults = [Fault("PUT", ".*/plan", status=413)]
    code, output = run(server, project({"test_a.py": ALL_PASS}))
    assert (code, "HTTP 413" in output) == (4, True), output
    (execution,) = fake.executions.values()
    assert execution.status == "cancelled"


def test_without_a_server_it_runs_all_and_sends_it_later(
    fake: FakeTMS, server: Server, project: Project, tms: Tms
) -> None:
    fake.faults = away()
    folder = project({"test_a.py": ALL_PASS, "test_b.py": "def test_bad(): assert 0\n"})
    code, output = run(server, folder)
    assert (code, "1 failed, 7 passed" in output) == (1, True), output
    assert "the server is away" in output
    assert "8 results wait in" in output
    fake.faults = []
    assert tms("send").returncode == 0
    (execution,) = fake.executions.values()
    assert (execution.status, execution.totals()["failed"], execution.totals()["total"]) == ("completed", 1, 8)


def test_a_server_that_comes_back_late_gets_each_result_once(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.faults = away()
    folder = project({"test_a.py": "def test_first(): pass\n" + WAITS, "test_b.py": ALL_PASS})
    with node(server, folder) as process:
        waits(folder)
        until((folder / ".tms-spool").exists)
        fake.faults = []
        until(lambda: any(execution.plan and execution.plan.leases for execution in fake.executions.values()))
        (folder / "go").touch()
        code, output = ended(process)
    assert (code, "9 passed" in output) == (0, True), output
    (execution,) = fake.executions.values()
    assert reported(server.tests(execution.execution_id)) == plain(folder)[1]
    assert execution.status == "completed"


def test_a_lease_that_lapsed_while_nobody_else_was_there_costs_no_result(
    fake: FakeTMS, server: Server, project: Project
) -> None:
    fake.lease_seconds = 0.5
    folder = project({"test_a.py": WAITS, "test_b.py": ALL_PASS, "test_c.py": WAITS.replace('"go"', '"go on"')})
    with node(server, folder) as process:
        waits(folder)
        until(lambda: any(execution.plan and execution.plan.leases for execution in fake.executions.values()))
        (companion,) = psutil.Process(process.pid).children()
        companion.suspend()
        (folder / "go").touch()
        waits(folder, "test_c.py")
        (execution,) = fake.executions.values()
        plan = execution.plan
        assert plan is not None
        until(lambda: plan.held("lease_1", "anybody") is None and not plan.leases["lease_1"].is_open)
        companion.resume()
        until(lambda: len(plan.late) > 0)
        (folder / "go on").touch()
        code, output = ended(process)
    assert (code, "9 passed" in output) == (0, True), output
    assert "came late" not in output
    assert set(plan.state.values()) == {"reported"}
    assert (execution.status, execution.totals()["total"]) == ("completed", 9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_server_that_is_away_can_be_interrupted(
    fake: FakeTMS, server: Server, project: Project, number: int
) -> None:
    fake.faults = away()
    folder = project({"test_a.py": WAITS + "def test_bad(): assert 0\n"})
    with node(server, folder, "-v", TMS_PATIENCE="60") as process:
        waits(folder)
        (folder / "go").touch()
        assert process.stdout is not None
        while b"test_bad" not in os.read(process.stdout.fileno(), 1 << 16):
            pass
        process.send_signal(number)
        code, output = ended(process)
    assert code == 2, output


def test_a_pytest_that_is_killed_while_the_server_is_away_is_told_later(
    fake: FakeTMS, server: Server, project: Project, tms: Tms
) -> None:
    fake.faults = away()
    dies = "import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGKILL)\n"
    folder = project({"test_a.py": ALL_PASS, "test_b.py": dies})
    assert run(server, folder, TMS_PATIENCE="60")[0] == -signal.SIGKILL
    until(lambda: any('"close"' in file.read_text() for file in folder.glob(".tms-spool/*")))
    fake.faults = []
    until(lambda: tms("send").returncode == 0 and bool(fake.executions))
    (execution,) = fake.executions.values()
    tests = {test["title"]: test for test in server.tests(execution.execution_id)}
    assert "has died while this test ran" in tests["test_dies"]["error"]
    assert (len(tests), execution.status) == (8, "failed")
