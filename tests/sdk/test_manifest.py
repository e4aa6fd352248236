"""What pytest has collected, as a plan, and a lease of that plan, as pytest's tests."""

from typing import Any

import pytest

from tests.sdk.fake_tms import Execution, FakeTMS
from tms_sdk import TMSClient
from tms_sdk.manifest import Dealing, Manifest
from tms_sdk.records import LONGEST_NAME, usable_name
from tms_sdk.wire import Claim

ID = "exec_20250804000001"


def collected(*node_ids: str, labels: tuple[str, ...] = ()) -> Manifest:
    tests = {node_id: list(labels) for node_id in node_ids}
    return Manifest.read({"tests": tests, "ready": [], "sizes": {}, "runnable": True})


def claimed(tests: list[dict[str, Any]]) -> Claim:
    return {
        "state": "leased",
        "leaseId": "lease_1",
        "shardId": "1",
        "leaseSeconds": 30,
        "tests": [{"file": test["file"], "title": test["title"]} for test in tests],
        "remaining": 9,
        "retryAfter": None,
        "reason": None,
    }


@pytest.mark.parametrize(
    "node_ids",
    [
        ("test_a.py::test_x", "test_a.py::TestC::test_x[a::b]", "other/test_a.py::test_x"),
        ("README.rst", "README.rst::README.rst"),
        ("test_a.py::test[\0]", "test_a.py::test[\\x00]", "test_a.py::test[\udc80]"),
        (f"test_a.py::test[{'x' * 9000}1]", f"test_a.py::test[{'x' * 9000}2]"),
    ],
    ids=["plain", "whole file", "not storable", "endless"],
)
def test_what_the_server_deals_out_is_what_was_collected(node_ids: tuple[str, ...]) -> None:
    manifest = collected(*node_ids)
    tests = manifest.plan(Dealing())["tests"]
    names = {(test["file"], test["title"]) for test in tests}
    assert len(names) == len(tests), "none twice"
    assert all(0 < len(text) <= LONGEST_NAME for name in names for text in name)
    lease = manifest.lease(claimed(tests), is_whole=False)
    assert sorted(lease.tests) == sorted(node_ids)
    assert lease.strangers == []


def test_tests_that_were_not_collected_here_are_told_apart() -> None:
    tests = [{"file": "test_a.py", "title": "test_x"}, {"file": "test_a.py", "title": "test_gone"}]
    lease = collected("test_a.py::test_x").lease(claimed(tests), is_whole=False)
    assert (lease.tests, lease.strangers) == (["test_a.py::test_x"], [("test_a.py", "test_gone")])


def test_a_cut_name_is_the_same_everywhere() -> None:
    name = usable_name("x" * 5000)
    assert name == usable_name("x" * 5000) != usable_name("x" * 5001)
    assert (len(name), name[:4000]) == (LONGEST_NAME, "x" * 4000)


def test_labels_that_the_server_does_not_take_are_left_out() -> None:
    marks = ("", "slow", "x" * 256, *(f"mark_{number}" for number in range(200)))
    (test,) = collected("test_a.py::test_x", labels=marks).plan(Dealing())["tests"]
    assert test["labels"] == ["slow", *(f"mark_{number}" for number in range(99))]


def test_the_largest_plan_fits_into_a_request(fake: FakeTMS, client: TMSClient) -> None:
    execution: Execution = fake.add_execution(ID, configuration={"shards": 2})
    names = (
        f"tests/integration/service/test_module_{number // 200:04}.py::TestThings::test_with_long_name[{number}-admin]"
        for number in range(200_000)
    )
    plan = client.put_plan(ID, collected(*names, labels=("slow",)).plan(Dealing()))
    assert plan["tests"] == 200_000
    assert plan["differs"] is None
    assert execution.plan is not None
    (request,) = fake.requests("PUT", ".*/plan")
    assert int(request.headers["Content-Length"]) < 4_000_000, "compressed, for proxies that take less than the server"
