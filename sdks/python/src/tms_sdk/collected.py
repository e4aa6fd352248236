"""What pytest has collected, as a runner is told of it."""

from pathlib import Path
from typing import Any

import pytest

from tms_sdk.records import Record, record

# pytest's own marks steer a test; they say nothing about it.
_STEERING_MARKS = frozenset({"filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail"})


def manifest(config: pytest.Config, items: list[pytest.Item], ready: list[Record], *, runnable: bool) -> dict[str, Any]:
    """List the tests: those to run, and, as such, the files that were skipped or failed as a whole.

    A test that was collected more than once is listed once.
    """
    tests: dict[str, dict[str, Any]] = {}
    inherited: dict[pytest.Collector | None, frozenset[str]] = {}
    for item in items if runnable else []:
        nodeid = item.nodeid
        if nodeid not in tests:
            file, title = file_of(nodeid), title_of(nodeid)
            parent = item.parent
            if parent not in inherited:
                inherited[parent] = frozenset(mark.name for mark in parent.iter_markers()) if parent else frozenset()
            marks = inherited[parent].union(mark.name for mark in item.own_markers) - _STEERING_MARKS
            tests[nodeid] = {"id": nodeid, "file": file, "title": title, "labels": sorted(marks)}
    files = {test["file"] for test in tests.values()}
    return {
        "tests": list(tests.values()),
        "sizes": {file: size for file in files if (size := _size(config.rootpath / file))},
        "ready": ready,
        "runnable": runnable,
    }


def collect_record(report: pytest.CollectReport) -> Record:
    """Make the record of a file or class that failed or was skipped while it was collected."""
    return record(
        title=title_of(report.nodeid),
        file=file_of(report.nodeid),
        status="failed" if report.failed else "skipped",
        error=report.longreprtext if report.failed else None,
    )


def file_of(nodeid: str) -> str:
    """Return a node's file, relative to pytest's rootdir, with forward slashes."""
    return nodeid.partition("::")[0]


def title_of(nodeid: str) -> str:
    """Return a node's name within its file, such as `TestLogin::test_works[admin]`; a whole file is its own title."""
    return nodeid.partition("::")[2] or nodeid or "(root)"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
