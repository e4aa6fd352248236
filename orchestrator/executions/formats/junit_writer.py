"""Writes an execution as JUnit XML, a suite for each shard, with attempts as Surefire tells them."""

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from orchestrator.executions.formats.junit_cases import module_of
from orchestrator.executions.formats.report import MOST_ATTEMPTS
from orchestrator.executions.model import Attempt, Execution, Shard, TestDetails, TestResult, TestStatus, Totals
from orchestrator.timestamps import to_text

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# Characters that XML cannot have, however they are written.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RETURN = {"\r": "&#13;"}
_NOTHING = TestDetails()


class JUnitWriter:
    """Writes one report; see `report.Writer`.

    Args:
        execution: whose report it is.
        totals: of the shards that will be written.
    """

    def __init__(self, execution: Execution, totals: Totals) -> None:
        self._execution = execution
        self._totals = totals
        self._is_in_shard = False

    def begin(self) -> bytes:
        """See `report.Writer`."""
        execution = self._execution
        duration = _attribute("time", _seconds(execution.duration_ms))
        head = f"<testsuites{_attribute('name', execution.execution_id)}{_counters(self._totals)}{duration}>\n"
        return (_DECLARATION + head).encode()

    def shard(self, shard: Shard) -> bytes:
        """See `report.Writer`."""
        attributes = (
            _attribute("name", f"shard-{shard.shard_id}"),
            _counters(shard.totals),
            _attribute("time", _seconds(shard.duration_ms)),
            _attribute("timestamp", None if shard.started_at is None else to_text(shard.started_at)),
        )
        # A shard that was lost has no tests that could tell of it.
        status = f'<properties><property name="status"{_attribute("value", shard.status)}/></properties>\n'
        opened = f"{self._end_of_shard()}<testsuite{''.join(attributes)}>\n{status}"
        self._is_in_shard = True
        return opened.encode()

    def tests(self, tests: Sequence[TestResult]) -> bytes:
        """See `report.Writer`."""
        return "".join(map(_case, tests)).encode()

    def end(self) -> bytes:
        """See `report.Writer`."""
        return f"{self._end_of_shard()}</testsuites>\n".encode()

    def _end_of_shard(self) -> str:
        return "</testsuite>\n" if self._is_in_shard else ""


def _counters(totals: Totals) -> str:
    numbers = {"tests": totals.total, "failures": totals.failed, "errors": 0, "skipped": totals.skipped}
    return "".join(_attribute(name, str(number)) for name, number in numbers.items())


def _case(test: TestResult) -> str:
    details = test.details or _NOTHING
    attempts = _attempts(test, details)
    first = attempts[0].duration_ms if attempts and test.status is TestStatus.FAILED else test.duration_ms
    attributes = (
        _attribute("name", test.title),
        _attribute("classname", _class_of(test.file)),
        _attribute("file", test.file),
        _attribute("time", _seconds(first)),
    )
    children = (*_properties(test.tags or (), details), *_outcome(test, attempts), *_output(details))
    return f"<testcase{''.join(attributes)}>{''.join(children)}</testcase>\n"


def _class_of(file: str | None) -> str | None:
    """What tools group by: a path as a module in dots; what is no path is a class already."""
    if file is None:
        return None
    return (module_of(file) if "/" in file or "\\" in file else file) or None


def _properties(tags: Sequence[str], details: TestDetails) -> Iterator[str]:
    noted = [("tag", tag) for tag in tags] + [(one.name, one.value) for one in details.properties]
    if noted:
        each = (f"<property{_attribute('name', name)}{_attribute('value', value)}/>" for name, value in noted)
        yield f"<properties>{''.join(each)}</properties>"


def _output(details: TestDetails) -> Iterator[str]:
    if details.attachments:
        yield _element("system-out", "", "\n".join(f"[[ATTACHMENT|{path}]]" for path in details.attachments))


def _attempts(test: TestResult, details: TestDetails) -> Sequence[Attempt]:
    """The tries before the last; of those that are only counted, nothing is known but that they failed."""
    return details.attempts or [Attempt(TestStatus.FAILED)] * min(test.retries or 0, MOST_ATTEMPTS)


def _outcome(test: TestResult, attempts: Sequence[Attempt]) -> Iterator[str]:
    if test.status is TestStatus.SKIPPED:
        yield f"<skipped{_attribute('message', test.error)}/>"
    elif test.status is TestStatus.PASSED:
        yield from (_try("flakyFailure", attempt) for attempt in attempts)
    else:
        # As Surefire has it: the first try is the failure, what was tried again follows it.
        first, *again = (*attempts, Attempt(TestStatus.FAILED, test.duration_ms, test.error))
        yield _try("failure", first)
        yield from (_try("rerunFailure", attempt) for attempt in again)


def _try(tag: str, attempt: Attempt) -> str:
    error = attempt.error or ""
    message = _attribute("message", error.partition("\n")[0] or None)
    time = _attribute("time", None if tag == "failure" else _seconds(attempt.duration_ms))
    return _element(tag, message + time, error)


def _element(tag: str, attributes: str, text: str) -> str:
    return f"<{tag}{attributes}>{escape(_possible(text), _RETURN)}</{tag}>"


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f" {name}={quoteattr(_possible(value))}"


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("?", text)


def _seconds(duration_ms: float | None) -> str | None:
    return None if duration_ms is None else f"{duration_ms / 1000:.6f}"
