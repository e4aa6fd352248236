"""Reads CTRF JSON (specVersion 0.0.0), as strictly as it takes to understand it.

The specification wants consumers to refuse a document with properties that it does not know. Producers have some all
the same, so they are left out of account, and named in warnings. JSON is decoded when it is complete, at full speed,
and only what is needed of it.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Literal

import msgspec

from orchestrator.errors import UnreadableReport
from orchestrator.executions.formats import ctrf_schema
from orchestrator.executions.formats.notes import Notes
from orchestrator.executions.formats.report import (
    ERROR_LENGTH,
    MAX_BYTES,
    MAX_TESTS,
    NAME_LENGTH,
    TITLE_LENGTH,
    Format,
    Report,
    shorten,
)
from orchestrator.executions.model import Attempt, TestResult, TestStatus

SPEC_VERSION = "0.0.0"
MOST_WARNINGS = 20

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_MS = 1e15
_MOST_RETRIES = 2**31 - 1
_BYTE = re.compile(r" \(byte (\d+)\)$")
_PATH = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)


class _Status(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    PENDING = "pending"
    OTHER = "other"


Scalar = str | int | float | bool


class _Attachment(msgspec.Struct, gc=False):
    path: str


class _Attempt(msgspec.Struct, gc=False):
    status: _Status
    attempt: float = 0
    duration: float | None = None
    message: str | None = None
    trace: str | None = None
    attachments: list[_Attachment] | None = None


class _Test(msgspec.Struct, rename="camel", gc=False):
    name: str
    status: _Status
    duration: float | None = None
    suite: list[str] | str | None = None
    message: str | None = None
    trace: str | None = None
    tags: list[str] | None = None
    labels: dict[str, Scalar | list[Scalar] | None] | None = None
    file_path: str | None = None
    retries: int | None = None
    retry_attempts: list[_Attempt] | None = None
    flaky: bool | None = None
    attachments: list[_Attachment] | None = None


class _Tool(msgspec.Struct):
    name: str


class _Summary(msgspec.Struct):
    start: float | None = None
    stop: float | None = None
    duration: float | None = None


class _Results(msgspec.Struct):
    tool: _Tool
    tests: list[_Test]
    summary: _Summary | None = None


class _Document(msgspec.Struct, rename="camel"):
    results: _Results
    report_format: Literal["CTRF"] | None = None
    spec_version: str | None = None


_decoder = msgspec.json.Decoder(_Document)


class CtrfReader:
    """Reads one report; see `report.Reader`."""

    def __init__(self) -> None:
        self._content = bytearray()

    def feed(self, piece: bytes) -> None:
        """See `report.Reader`."""
        self._content += piece
        if len(self._content) > MAX_BYTES:
            raise UnreadableReport(f"It is larger than {MAX_BYTES >> 20} MiB")

    def close(self) -> Report:
        """See `report.Reader`."""
        content = bytes(self._content.removeprefix(_BYTE_ORDER_MARK))
        self._content.clear()
        document = _decode(content)
        results = document.results
        if len(results.tests) > MAX_TESTS:
            raise UnreadableReport(f"There are more than {MAX_TESTS} tests")
        tests = [_result(test) for test in results.tests]
        return Report(
            format=Format.CTRF,
            tests=tests,
            duration_ms=_run_duration(results.summary or _Summary(), tests),
            tool=shorten(results.tool.name, NAME_LENGTH) or None,
            warnings=tuple(islice(_warnings(document, content), MOST_WARNINGS)),
        )


def _decode(content: bytes) -> _Document:
    try:
        return _decoder.decode(content)
    except msgspec.ValidationError as error:
        raise UnreadableReport(f"It is not as CTRF has it: {_with_path_first(str(error))}") from None
    except RecursionError:
        raise UnreadableReport("It is nested too deeply") from None
    except UnicodeDecodeError:
        raise UnreadableReport("It is not UTF-8 text") from None
    except msgspec.DecodeError as error:
        raise UnreadableReport(_with_place(str(error), content)) from None


def _warnings(document: _Document, content: bytes) -> Iterator[str]:
    for name, value in {"reportFormat": document.report_format, "specVersion": document.spec_version}.items():
        if value is None:
            yield f"{name} is missing"
    for place, message in ctrf_schema.deviations(content):
        yield f"Left out of account: {_with_path_first(message, place)}"


def _with_path_first(message: str, place: str = "") -> str:
    """The decoder's word, whose path begins at this place."""
    found = _PATH.fullmatch(message)
    path = ".".join(filter(None, (place, "" if found is None else found["path"])))
    return f"{path or 'the document'}: {message if found is None else found['problem']}"


def _with_place(message: str, content: bytes) -> str:
    """What is wrong with the JSON, and where; the decoder tells no place where the document is cut off."""
    found = _BYTE.search(message)
    if found is None:
        return "It is cut off"
    before = content[: int(found[1])]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"Line {line}, column {column}: {message[: found.start()]}"


def _result(test: _Test) -> TestResult:
    status = _status(test.status)
    attempts = _attempts(test)
    retries = len(attempts) or _retries(test)
    if not retries and test.flaky and status is TestStatus.PASSED:
        retries = 1  # that is what flaky means
    return TestResult(
        title=shorten(_title(test), TITLE_LENGTH),
        status=status,
        file=shorten(test.file_path or "", NAME_LENGTH) or None,
        duration_ms=_duration(test.duration),
        error=_error(test.message, test.trace),
        retries=retries,
        tags=(notes := _notes(test)).tags,
        details=notes.details(attempts),
    )


def _status(status: _Status) -> TestStatus:
    return TestStatus(status) if status in (_Status.PASSED, _Status.FAILED) else TestStatus.SKIPPED


def _title(test: _Test) -> str:
    """The name, after the suites that it is in: two suites of a file may have tests of one name.

    Some producers give the suites as one text, some the file as the outermost, and some begin the name with them.
    """
    suites = test.suite.split(" > ") if isinstance(test.suite, str) else test.suite or []
    inner = [suite for suite in suites if suite and not (test.file_path or "").endswith(suite)]
    if not inner or test.name.startswith(inner[0]):
        return test.name or "(no name)"
    return " > ".join([*inner, test.name])


def _attempts(test: _Test) -> list[Attempt]:
    """The tries before the last. Some producers list the last one, too."""
    tries = sorted(test.retry_attempts or (), key=lambda one: one.attempt)
    if test.retries is not None and len(tries) == test.retries + 1:
        tries.pop()
    return [Attempt(_status(one.status), _duration(one.duration), _error(one.message, one.trace)) for one in tries]


def _retries(test: _Test) -> int | None:
    return None if test.retries is None else min(max(test.retries, 0), _MOST_RETRIES)


def _notes(test: _Test) -> Notes:
    notes = Notes()
    for tag in test.tags or ():
        notes.add_tag(tag)
    for name, label in (test.labels or {}).items():
        for value in label if isinstance(label, list) else [label]:
            if value is not None:
                notes.add_property(name, str(value).lower() if isinstance(value, bool) else str(value))
    tries: list[_Attempt | _Test] = [*(test.retry_attempts or ()), test]
    for one in tries:
        for attachment in one.attachments or ():
            notes.add_attachment(attachment.path)
    return notes


def _error(message: str | None, trace: str | None) -> str | None:
    """Message and trace as one text; most traces have the message in them."""
    message, trace = shorten((message or "").strip(), ERROR_LENGTH), shorten((trace or "").strip(), ERROR_LENGTH)
    if message in trace:
        return trace or None
    return shorten(f"{message}\n{trace}".rstrip(), ERROR_LENGTH)


def _duration(duration: float | None) -> float | None:
    return duration if duration is not None and 0 <= duration <= _LONGEST_MS else None


def _run_duration(summary: _Summary, tests: Sequence[TestResult]) -> float:
    if summary.start is not None and summary.stop is not None:
        told = _duration(summary.stop - summary.start)
    else:
        told = _duration(summary.duration)
    return sum(test.duration_ms or 0.0 for test in tests) if told is None else told
