"""Tests in quarantine: their failures are shown and reported, and do not fail the run."""

from collections.abc import Generator, Iterable

import pytest

from tms_sdk.attempts import QUARANTINED

_NAME = "tms-quarantine"


class Quarantine:
    """Turns failures in quarantine into what pytest does not count. Costs a run without such tests nothing.

    Args:
        config: pytest's.
        shows: whether this is the controller of pytest-xdist, which shows what its workers have found.
    """

    def __init__(self, config: pytest.Config, *, shows: bool = False) -> None:
        self._config = config
        self._nodeids: set[str] = set()
        if shows:
            self._register()

    def add(self, nodeids: Iterable[str]) -> None:
        """Put tests into quarantine."""
        self._nodeids.update(nodeids)
        if self._nodeids:
            self._register()

    def _register(self) -> None:
        if not self._config.pluginmanager.has_plugin(_NAME):
            self._config.pluginmanager.register(_Hooks(self._nodeids), _NAME)

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """List the failures at the end, with their errors."""
        failures = reporter.stats.get("quarantined", [])
        if failures:
            reporter.section("quarantined failures", sep="=")
        for report in failures:
            reporter.write_line(f"QUARANTINED {report.nodeid}", yellow=True)
            reporter.write_line(report.longreprtext)


class _Hooks:
    def __init__(self, nodeids: set[str]) -> None:
        self._nodeids = nodeids

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Call a failure an expected one, which is how pytest's other plugins understand it."""
        report = yield
        if report.failed and item.nodeid in self._nodeids:
            report.outcome = "skipped"
            vars(report).update({QUARANTINED: True, "wasxfail": "quarantined"})
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Show a failure in quarantine as what it is."""
        return ("quarantined", "Q", ("QUARANTINED", {"yellow": True})) if hasattr(report, QUARANTINED) else None
