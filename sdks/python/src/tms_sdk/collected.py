"""What pytest has collected, as a runner is told of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tms_sdk.records import Record, file_of, record, title_of

# pytest's own marks steer a test; they say nothing about it.
_STEERING_MARKS = frozenset({"filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail"})


def manifest(
    config: pytest.Config, items: list[pytest.Item], ready: list[Record], *, runnable: bool, ahead: bool
) -> dict[str, Any]:
    """List the tests: those to run, and, as such, the files that were skipped or failed as a whole.

    A test that was collected more than once is listed once. `ahead` tells that all of them are being run already.
    """
    tests: dict[str, list[str]] = {}
    labels: dict[tuple[object, ...], list[str]] = {}  # few of them differ
    for item in items if runnable else []:
        marks = (item.parent, *[mark.name for mark in item.own_markers])
        if marks not in labels:
            labels[marks] = _labels(item.iter_markers())
        tests.setdefault(item.nodeid, labels[marks])
    files = set(map(file_of, tests))
    return {
        "tests": tests,
        "sizes": {file: size for file in files if (size := _size(config.rootpath / file))},
        "ready": ready,
        "runnable": runnable,
        "ahead": ahead,
    }


def collect_record(report: pytest.CollectReport) -> Record:
    """Make the record of a file or class that failed or was skipped while it was collected."""
    return record(
        title=title_of(report.nodeid),
        file=file_of(report.nodeid),
        status="failed" if report.failed else "skipped",
        error=report.longreprtext if report.failed else None,
    )


def _labels(marks: Iterable[pytest.Mark]) -> list[str]:
    return sorted({mark.name for mark in marks} - _STEERING_MARKS)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
