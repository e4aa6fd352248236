"""Nodes that did not collect the same tests: what they say, and what becomes of a test that is given to such a node."""

from collections.abc import Sequence

from tms_sdk.manifest import Name
from tms_sdk.records import Record, record
from tms_sdk.wire import Differs, TestName

_NAMED = 3
_ADVICE = "Ids have to be the same on all nodes: same arguments, same plugins, no parameters that change."


def unplanned(differs: Differs) -> str:
    """Tell of tests that were collected here only, so that no node will run them."""
    named = _named(differs["unexpectedTests"], differs["unexpected"])
    return f"{differs['unexpected']} tests collected here are not in the plan, and nobody runs them: {named}. {_ADVICE}"


def uncollected(differs: Differs) -> str:
    """Tell of tests that only other nodes can run."""
    named = _named(differs["missingTests"], differs["missing"])
    return f"{differs['missing']} planned tests were not collected here: {named}"


def not_run(name: Name, host: str) -> Record:
    """Make the record of a test that this node was given and cannot run."""
    file, title = name
    error = f"Not run: the node {host} was given this test, and has not collected it. {_ADVICE}"
    return record(title=title, file=file, status="failed", error=error)


def _named(tests: Sequence[TestName], total: int) -> str:
    names = ["::".join(dict.fromkeys([test["file"], test["title"]])) for test in tests[:_NAMED]]
    return ", ".join(names) + (", …" if total > len(names) else "")
