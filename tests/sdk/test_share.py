"""What a node runs while the server is away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tms_sdk import UsageError
from tms_sdk.share import Node, node_of

totals = st.integers(1, 20)


@given(st.text(), totals)
def test_every_file_is_run_by_exactly_one_node(file: str, total: int) -> None:
    assert sum(Node(index, total).runs(file) for index in range(total)) == 1


@given(st.text())
def test_a_node_that_knows_of_no_other_runs_all(file: str) -> None:
    assert node_of({}).runs(file)


@pytest.mark.parametrize("total", [2, 4, 8])
def test_shares_are_about_equal(total: int) -> None:
    files = [f"tests/test_{number}.py" for number in range(1000)]
    shares = [sum(Node(index, total).runs(file) for file in files) for index in range(total)]
    assert max(shares) - min(shares) <= 4 * (1000 / total) ** 0.5 + 1


@pytest.mark.parametrize(
    ("environ", "node"),
    [
        ({}, Node(0, 1)),
        ({"TMS_NODE_INDEX": "0", "TMS_NODE_TOTAL": "4"}, Node(0, 4)),
        ({"TMS_NODE_INDEX": "3", "TMS_NODE_TOTAL": "4", "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"}, Node(3, 4)),
        ({"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}, Node(0, 4)),
        ({"CI_NODE_INDEX": "4", "CI_NODE_TOTAL": "4"}, Node(3, 4)),
        ({"CI_NODE_TOTAL": "4"}, Node(0, 1)),
        ({"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "4"}, Node(0, 1)),
        ({"BUILDKITE_PARALLEL_JOB": "2", "BUILDKITE_PARALLEL_JOB_COUNT": "3"}, Node(2, 3)),
        ({"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "2"}, Node(0, 2)),
    ],
    ids=str,
)
def test_the_ci_system_says_which_node_this_is(environ: dict[str, str], node: Node) -> None:
    assert node_of(environ) == node


@pytest.mark.parametrize(("index", "total"), [("4", "4"), ("-1", "4"), ("0", ""), ("", "4"), ("0", "0"), ("a", "4")])
def test_own_variables_that_make_no_sense_are_wrong_usage(index: str, total: str) -> None:
    with pytest.raises(UsageError, match="TMS_NODE_INDEX"):
        node_of({"TMS_NODE_INDEX": index, "TMS_NODE_TOTAL": total})
