"""A node asks for its next tests while the last ones of its lease run, so that pytest does not wait for the server."""

import signal
from pathlib import Path

import pytest

from tests.plain_pytest import plain, reported
from tests.sdk.conftest import Server
from tests.sdk.fake_plan import Plan
from tests.sdk.fake_tms import Execution, FakeTMS, Fault
from tests.sdk.nodes import ended, node, run
from tests.sdk.test_node import planned
from tests.sdk.test_node_faults import WAITS, away, waits
from tests.sdk.test_run import ALL_PASS, Project
from tests.sdk.test_run_faults import until

ID = "exec_20250804000001"
FILES = {"test_a.py": WAITS, "test_b.py": WAITS, "test_c.py": ALL_PASS, "test_d.py": ALL_PASS}

# Begins the lease, and ends when it is told to.
FIRST = """
import pathlib, time
def test_first():
    pathlib.Path("first").touch()
    while not pathlib.Path("on").exists():
        time.sleep(0.02)
"""


@pytest.fixture
def execution(fake: FakeTMS) -> Execution:
    """One whose leases begin with one file each."""
    return fake.add_execution(ID, configuration={"shards": 3})


def plan_of(execution: Execution) -> Plan:
    assert execution.plan is not None
    return execution.plan


def is_claimed(execution: Execution, file: str) -> bool:
    states = {state for name, state in plan_of(execution).state.items() if name[0] == file}
    return states == {"claimed"}


def test_pytest_goes_on_with_what_came_ahead_though_the_server_is_away(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    folder = project({**FILES, "test_b.py": WAITS.replace('"go"', '"on"')})
    with node(server, folder, TMS_EXECUTION=ID, TMS_PATIENCE="60") as process:
        waits(folder)
        until(lambda: is_claimed(execution, "test_b.py"))
        fake.faults = away()
        (folder / "go").touch()
        waits(folder, "test_b.py")
        fake.faults = []
        (folder / "on").touch()
        code, output = ended(process)
    assert code == 0, output
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert [len(lease.tests) for lease in plan_of(execution).leases.values() if lease.tests] == [2, 7, 7]


def test_what_came_ahead_is_not_lost_where_more_could_come(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    fake.expected_ms = 1
    folder = project({"test_a.py": FIRST + WAITS, **{f"test_{letter}.py": ALL_PASS for letter in "bcdefgh"}})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        until((folder / "first").exists)
        until(lambda: is_claimed(execution, "test_b.py"))
        (folder / "on").touch()
        waits(folder)
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 0, output
    assert set(plan_of(execution).state.values()) == {"reported"}


def test_sigterm_hands_back_what_came_ahead(execution: Execution, server: Server, project: Project) -> None:
    folder = project(FILES)
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        until(lambda: is_claimed(execution, "test_b.py"))
        process.send_signal(signal.SIGTERM)
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 2, output
    state = plan_of(execution).state
    assert state.pop(("test_a.py", "test_waits")) == "reported"
    assert set(state.values()) == {"waiting"}
    assert run(server, folder, TMS_EXECUTION=ID)[0] == 0


def test_what_nobody_here_has_collected_is_told_when_it_comes_ahead(
    execution: Execution, server: Server, project: Project
) -> None:
    planned(server, "test_a.py::test_waits", "test_b.py::test_elsewhere", "test_c.py::test_1", "test_d.py::test_2")
    folder = project({"test_a.py": WAITS, "test_c.py": "def test_1(): pass\n", "test_d.py": "def test_2(): pass\n"})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder)
        until(lambda: plan_of(execution).state["test_b.py", "test_elsewhere"] == "reported")
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 1, output
    assert "has not collected it" in next(test for test in server.tests(ID) if test["status"] == "failed")["error"]
    assert execution.totals() == {"total": 4, "passed": 3, "failed": 1, "skipped": 0, "flaky": 0}
    assert execution.status == "completed"


def test_a_lease_that_lapses_before_it_grows_is_worked_off_under_another_one(
    fake: FakeTMS, execution: Execution, server: Server, project: Project
) -> None:
    folder = project({**FILES, "test_a.py": FIRST + WAITS})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        until((folder / "first").exists)

        def lapse() -> None:
            for lease in plan_of(execution).leases.values():
                lease.expires = 0.0

        fake.faults = [Fault("POST", ".*/claims", before=lapse)]
        (folder / "on").touch()
        waits(folder)
        until(lambda: not fake.faults[0].times and len(plan_of(execution).leases) > 1)
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 0, output
    assert reported(server.tests(ID)) == plain(folder)[1]
    assert set(plan_of(execution).state.values()) == {"reported"}


def test_it_asks_once_where_there_is_nothing_to_get(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.add_execution(ID, configuration={"shards": 3})
    fake.gives_ahead = False
    folder = project({"test_a.py": ALL_PASS, "test_b.py": WAITS})
    with node(server, folder, TMS_EXECUTION=ID) as process:
        waits(folder, "test_b.py")
        (folder / "go").touch()
        code, output = ended(process)
    assert code == 0, output
    claims = [seen.body.get("ahead", False) for seen in fake.requests("POST", ".*/claims")]
    assert claims.count(True) <= 1, "none of the last lease, and one of the other"
    assert claims.count(False) == 3


def test_in_a_shard_that_is_fixed_there_is_nothing_to_ask_for(fake: FakeTMS, server: Server, project: Project) -> None:
    fake.add_execution(ID, configuration={"shards": 3})
    folder: Path = project(FILES)
    (folder / "go").touch()
    assert run(server, folder, "--tms-mode", "static", TMS_EXECUTION=ID)[0] == 0
    assert not any(seen.body.get("ahead") for seen in fake.requests("POST", ".*/claims"))
