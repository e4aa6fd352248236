"""From pytest's reports of setup, call and teardown to one outcome per test, the one its JUnit report tells."""

from typing import TYPE_CHECKING, NotRequired, TypedDict

from tms_sdk.records import Attempt, TestStatus, attempt

if TYPE_CHECKING:
    import pytest

# What pytest-rerunfailures and pytest-retry call the report of an attempt that is not the last.
_AGAIN = frozenset({"rerun", "retried"})

# Setup, call and teardown.
_PHASES = 3

# Marks the report of a test that failed in quarantine, which to pytest is an expected failure.
QUARANTINED = "tms_quarantined"


class Outcome(TypedDict):
    """How a test ended, as arguments of `tms_sdk.records.record`."""

    status: TestStatus
    seconds: float
    error: NotRequired[str]
    attempts: NotRequired[list[Attempt]]


class _Test:
    """One test from its start to its end, over all its attempts. Written out, since each test of a suite makes one."""

    __slots__ = ("again", "attempts", "reports")

    def __init__(self) -> None:
        self.again = False
        self.reports: list[pytest.TestReport] = []
        self.attempts: list[Attempt] = []

    def next_attempt(self) -> None:
        """End an attempt that failed: only such are followed by another."""
        errors = [_error(report) for report in self.reports if _has_failed(report)]
        seconds = sum(report.duration for report in self.reports if not _is_subtest(report))
        self.attempts.append(attempt(status="failed", seconds=seconds, error="\n\n".join(errors) or None))
        self.again = False
        self.reports = []


class Attempts:
    """The tests that have begun and not ended. Tests of several xdist workers may mix.

    Args:
        show_capture: which captured output goes into an error, as pytest's `--show-capture` says.
    """

    def __init__(self, show_capture: str = "all") -> None:
        self._tests: dict[str, _Test] = {}
        self._show_capture = show_capture

    def begin(self, nodeid: str) -> None:
        """A test begins, or its next attempt does."""
        test = self._tests.get(nodeid)
        if test is None:
            self._tests[nodeid] = _Test()
        elif test.again:
            test.next_attempt()

    def add(self, report: "pytest.TestReport") -> None:
        """Take in the report of one phase."""
        test = self._tests.get(report.nodeid) or self._tests.setdefault(report.nodeid, _Test())
        if not test.again and report.outcome not in _AGAIN:
            test.reports.append(report)
        elif report.outcome in _AGAIN:
            test.again = True
            test.reports.append(report)
        elif report.when == "setup":
            # Some versions begin the next attempt without saying so.
            test.next_attempt()
            test.reports.append(report)

    def goes_on(self, nodeid: str) -> bool:
        """Tell whether another attempt of the test follows."""
        test = self._tests.get(nodeid)
        return test is not None and test.again

    def open(self) -> list[str]:
        """Return the tests that have begun and not ended."""
        return list(self._tests)

    def end(self, nodeid: str) -> Outcome | None:
        """Forget a test and return its outcome; None where it never got so far as to have one.

        A failure in any phase is a failed test, once (a teardown that fails after a test that passed, too). A subtest
        that fails or skips does so to its test, as in JUnit reports. xfail is skipped, strict xpass failed, other xpass
        passed.
        """
        test = self._tests.pop(nodeid, None)
        if test is None:
            return None
        if len(test.reports) == _PHASES and not test.attempts:
            setup, call, teardown = test.reports
            if setup.outcome == call.outcome == teardown.outcome == "passed":  # as nearly all are, so this is quick
                return {"status": "passed", "seconds": setup.duration + call.duration + teardown.duration}
        failed = [report for report in test.reports if _has_failed(report)]
        skipped = any(report.skipped for report in test.reports)
        called = any(report.when == "call" and not _is_subtest(report) for report in test.reports)
        if not (failed or skipped or called):
            return None
        outcome: Outcome = {
            "status": "failed" if failed else "skipped" if skipped else "passed",
            "seconds": sum(report.duration for report in test.reports if not _is_subtest(report)),
        }
        if test.attempts:
            outcome["attempts"] = test.attempts
        if failed:
            outcome["error"] = "\n\n".join([*map(_error, failed), *self._captured(failed[-1])])
        return outcome

    def _captured(self, report: "pytest.TestReport") -> list[str]:
        if self._show_capture == "no":
            return []
        return [
            f"--- {name} ---\n{content.rstrip()}"
            for name, content in report.sections
            if self._show_capture in {"all", *name.split()}
        ]


def _has_failed(report: "pytest.TestReport") -> bool:
    # One that is run again, and one in quarantine, have failed too, though pytest is told otherwise.
    return report.failed or report.outcome in _AGAIN or hasattr(report, QUARANTINED)


def _error(report: "pytest.TestReport") -> str:
    text = report.longreprtext or "failed without a message"
    return text if str(report.when) in {"call", "???"} else f"Error in {report.when}:\n{text}"


def _is_subtest(report: "pytest.TestReport") -> bool:
    # A subtest's report comes within its test's call, and has a context of its own.
    return hasattr(report, "context")
