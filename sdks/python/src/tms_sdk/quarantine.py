"""Tests in quarantine: their failures are shown and reported, and do not fail the run."""

from collections.abc import Callable, Generator, Iterable

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
        self._shows = shows
        self._nodeids: set[str] = set()
        self._learn: Callable[[], None] | None = None
        self._watch()

    def add(self, nodeids: Iterable[str]) -> None:
        """Put tests into quarantine."""
        self._nodeids.update(nodeids)
        self._learn = None
        self._watch()

    def expect(self, learn: Callable[[], None]) -> None:
        """Go on without knowing the tests; the first failure calls `learn`, which calls `add`."""
        self._learn = learn
        self._watch()

    def holds(self, nodeid: str) -> bool:
        """Tell whether a test that has failed is in quarantine; wait for the answer where it is not known yet."""
        if self._learn is not None:
            self._learn()
        return nodeid in self._nodeids

    def _watch(self) -> None:
        """Look at reports only as long as one may be of a test in quarantine."""
        plugins = self._config.pluginmanager
        is_needed = self._shows or bool(self._nodeids) or self._learn is not None
        if is_needed and not plugins.has_plugin(_NAME):
            plugins.register(_Hooks(self), _NAME)
        elif not is_needed and plugins.has_plugin(_NAME):
            plugins.unregister(name=_NAME)

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """List the failures at the end, with their errors."""
        failures = reporter.stats.get("quarantined", [])
        if failures:
            reporter.section("quarantined failures", sep="=")
        for report in failures:
            reporter.write_line(f"QUARANTINED {report.nodeid}", yellow=True)
            reporter.write_line(report.longreprtext)


class _Hooks:
    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Call a failure an expected one, which is how pytest's other plugins understand it."""
        report = yield
        if report.failed and self._quarantine.holds(item.nodeid):
            report.outcome = "skipped"
            vars(report).update({QUARANTINED: True, "wasxfail": "quarantined"})
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Show a failure in quarantine as what it is."""
        return ("quarantined", "Q", ("QUARANTINED", {"yellow": True})) if hasattr(report, QUARANTINED) else None
