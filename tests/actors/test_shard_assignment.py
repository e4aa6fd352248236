"""How a job is filled in for one attempt of a shard."""

import msgspec

from actors.shard_assignment import Assignment
from actors.shard_reporter import Access
from orchestrator.jobs.model import Definition
from storage.job_shards import Key

ASSIGNMENT = Assignment(
    key=Key("exec_1", 2, 1),
    tenant_id=1,
    shards=4,
    definition=Definition(
        command=("run", "{shardId}/{shards}", "-k={suite}"), reports="out/{executionId}/{shardId}.xml"
    ),
    parameters={"suite": "a b"},
    environment={"PATH": "/opt/bin", "KEY": "a secret", "TMS_SHARD": "7"},
    access=Access("http://x", "a token", "another"),
)


def test_command_and_reports_are_filled_in() -> None:
    assert ASSIGNMENT.command() == ["run", "2/4", "-k=a b"]
    assert ASSIGNMENT.reports() == "out/exec_1/2.xml"


def test_a_command_gets_nothing_of_the_servers_environment_that_it_need_not_have() -> None:
    node = {"PATH": "/bin", "HOME": "/root", "TMS_SECRET_KEY": "the key", "AWS_SECRET": "x"}
    assert ASSIGNMENT.variables(node) == {
        "HOME": "/root",
        "PATH": "/opt/bin",
        "KEY": "a secret",
        "TMS_URL": "http://x",
        "TMS_TOKEN": "a token",
        "TMS_EXECUTION": "exec_1",
        "TMS_SHARD": "2",
        "TMS_SHARDS": "4",
    }


def test_pytest_is_told_on_which_shard_to_work_if_it_takes_part() -> None:
    plain = msgspec.structs.replace(ASSIGNMENT, definition=Definition(command=("pytest", "--tms")), parameters={})
    assert plain.variables({})["PYTEST_ADDOPTS"] == "--tms-shard 2"
    with_options = msgspec.structs.replace(plain, environment={"PYTEST_ADDOPTS": "-x"})
    assert with_options.variables({})["PYTEST_ADDOPTS"] == "-x --tms-shard 2"


def test_its_printed_form_holds_no_secret() -> None:
    assert not any(secret in repr(ASSIGNMENT) for secret in ("a secret", "a token", "another"))
