"""`tms gate`, against the true server: it is the one that judges."""

from io import StringIO

import pytest
from rich.console import Console

from tests.running import RunningServer
from tests.sdk.conftest import Server, Tms
from tms_sdk import TMSClient, UsageError
from tms_sdk.gate import gate


@pytest.fixture
def server(running_server: RunningServer) -> Server:
    return Server(running_server.url, running_server.token)


def created(client: TMSClient) -> str:
    """An execution of one shard, on a branch that nothing is compared with."""
    config = {"testSuite": "ui", "environment": "dev", "provider": "ci", "metadata": {"branch": "gated"}}
    return client.create_execution(config)["executionId"]


def end(client: TMSClient, execution_id: str, status: str = "passed") -> None:
    test = {"title": "works", "file": "gate.py", "status": status}
    client.submit_results(execution_id, "1", {"tests": [test], "failed": int(status == "failed")})


def test_a_good_execution_exits_with_0(tms: Tms, client: TMSClient) -> None:
    execution_id = created(client)
    end(client, execution_id)
    done = tms("gate", execution_id)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["pass incomplete<=0: 0", "pass new_failures<=0: 0"]
    assert done.stdout.endswith(f"{execution_id} passed\n")


def test_a_bad_one_exits_with_1_and_names_the_tests(tms: Tms, client: TMSClient) -> None:
    execution_id = created(client)
    end(client, execution_id, "failed")
    done = tms("gate", execution_id, "--rules", "failures<=50%,missing=0", "--baseline", "no-such-branch")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        "FAIL failures<=50%: 100%",
        "    gate.py works",
        "pass missing<=0: nothing to compare with",
        "compared with 0 former executions of no-such-branch",
        f"{execution_id} failed",
    ]


def test_it_waits_until_the_execution_has_ended(client: TMSClient) -> None:
    execution_id, printed, looks = created(client), StringIO(), 0

    def end_at_the_second_look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks > 1:
            end(client, execution_id)

    console = Console(file=printed, width=200)
    assert gate(client, execution_id, "failures=0", None, console, end_at_the_second_look) == 0
    assert looks == 2
    assert printed.getvalue().startswith(f"{execution_id} has not ended yet; waiting\npass failures<=0: 0\n")


def test_a_wrong_rule_is_wrong_usage_and_named(tms: Tms, client: TMSClient) -> None:
    execution_id = created(client)
    done = tms("gate", execution_id, "--rules", "colour=3")
    assert done.returncode == 4
    assert "There is no rule 'colour'; there are new_failures, failures" in done.stderr
    with pytest.raises(UsageError, match="duration_growth is in percent"):
        gate(client, execution_id, "duration_growth=3", None, Console(file=StringIO()))


def test_what_the_server_refuses_exits_with_3(tms: Tms) -> None:
    missing = tms("gate", "exec_0")
    assert (missing.returncode, "HTTP 404" in missing.stderr) == (3, True)
