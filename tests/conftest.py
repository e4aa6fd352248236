"""Checks the contract markers and reports how many contract rows passing tests cover.

``contract_rows.txt`` lists the ids of the rows, one a line; the letter before the dash is the row's family.
"""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

CONTRACT_ROWS = frozenset((Path(__file__).parent / "contract_rows.txt").read_text().split())
OUTCOMES = pytest.StashKey[dict[str, bool]]()
"""Contract row -> whether every test that carries it, of those run so far, has passed."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = [row for row in _rows(item) if row not in CONTRACT_ROWS]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: no such contract row: {', '.join(map(str, unknown))}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    outcomes = item.config.stash[OUTCOMES]
    for row in _rows(item):
        if report.failed:
            outcomes[row] = False
        elif report.when == "call" and report.passed:
            outcomes.setdefault(row, True)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = Counter(map(_family, CONTRACT_ROWS))
    covered = Counter(_family(row) for row, passed in config.stash[OUTCOMES].items() if passed)
    counts = ", ".join(f"{family} {covered[family]}/{rows[family]}" for family in ("X", "V", "T"))
    terminalreporter.write_line(f"contract rows covered by passing tests: {counts}")


def _rows(item: pytest.Item) -> list[str]:
    return [row for marker in item.iter_markers("contract") for row in marker.args]


def _family(row: str) -> str:
    return row.partition("-")[0]
