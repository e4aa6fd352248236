"""What a job may be like: each wrong field is named."""

from typing import Any

import pytest

from orchestrator.errors import ValidationFailed
from orchestrator.jobs import rules
from orchestrator.jobs.model import Definition, Parameter, Resources

GOOD: dict[str, Any] = {"command": ("pytest", "--tms", "-k", "{suite}"), "parameters": {"suite": Parameter("[a-z]+")}}
ALLOWED = ("/srv/suites",)


def test_a_job_as_most_are_is_taken() -> None:
    resources = Resources(2, 1024, {"browser": 1})
    job = Definition(**GOOD, variables=("BASE_URL",), reports="out/{shardId}/*.xml", resources=resources)
    rules.check(job, ALLOWED)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("command[0]", {"command": ("",)}),
        ("command[1]", {"command": ("run", "{nothing}")}),
        ("parameters.1st", {"parameters": {"suite": Parameter("x"), "1st": Parameter("x")}}),
        ("environment.A=B", {"variables": ("A=B",)}),
        ("environment.TMS_TOKEN", {"variables": ("TMS_TOKEN",)}),
        ("resources.custom.GPU", {"resources": Resources(custom={"GPU": 1})}),
        ("resources.custom.a b", {"resources": Resources(custom={"a b": 1})}),
        ("reports", {"reports": "/etc/*"}),
        ("reports", {"reports": "a/../../*"}),
        ("reports", {"reports": "{suite}/*.xml"}),
        ("reports", {"reports": "././"}),
        ("reports", {"reports": "out/**.xml"}),
        ("source", {"archive": "0" * 64, "folder": "/srv/suites/a"}),
        ("source.folder", {"folder": "/srv"}),
        ("source.folder", {"folder": "/srv/suites/../secrets"}),
        ("source.folder", {"folder": "/srv/suites-of-others"}),
        ("source.folder", {"folder": "srv/suites"}),
    ],
)
def test_each_wrong_field_is_named(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        rules.check(Definition(**GOOD | change), ALLOWED)
    assert [detail.field for detail in caught.value.details] == [field]


def test_no_folder_is_allowed_unless_the_operator_named_some() -> None:
    job = Definition(**GOOD, folder="/srv/suites/shop")
    rules.check(job, ALLOWED)
    with pytest.raises(ValidationFailed):
        rules.check(job, ())
