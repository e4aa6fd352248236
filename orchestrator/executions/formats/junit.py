"""Reads JUnit XML, in the dialects that tools write, as a stream: what is in memory are tests, never a tree.

The parser is the standard library's expat, with everything refused that reaches out or grows: a document type, and with
it every entity but the five of XML itself and every external reference. Depth, number and length are limited.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from xml.parsers import expat

import msgspec

from orchestrator.errors import UnreadableReport
from orchestrator.executions.formats.junit_cases import FAILURES, OUTCOMES, Case, Key, Suite, error_text
from orchestrator.executions.formats.notes import Notes, OutputMarks
from orchestrator.executions.formats.report import (
    ERROR_LENGTH,
    MAX_BYTES,
    MAX_TESTS,
    MOST_ATTEMPTS,
    MOST_NOTES,
    NAME_LENGTH,
    TITLE_LENGTH,
    Excerpt,
    Format,
    Report,
    shorten,
)
from orchestrator.executions.model import Attempt, TestDetails, TestResult, TestStatus

MAX_DEPTH = 100
MAX_ELEMENTS = 1_000_000
MAX_TAG_BYTES = 4 * 1024 * 1024
"""A tag with all its attributes. A parser has to see all of a tag at once, and begins anew with each piece of it."""

_BUFFER_BYTES = 64 * 1024
_ROOTS = frozenset({"testsuites", "testsuite", "testrun"})
_IN_CASE = OUTCOMES | {"property"}
_OUTPUTS = frozenset({"system-out", "system-err"})
# Tools print the colours of terminals into reports; XML knows no such characters.
_WITHOUT_CONTROLS = bytes(ord("?") if byte < ord(" ") and byte not in b"\t\n\r" else byte for byte in range(256))
_CUT_OFF = frozenset(
    expat.errors.codes[name]
    for name in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
    )
)
_PYTEST = "pytest"
_TEARDOWN = "failed on teardown with "
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_NOTHING = TestDetails()

T = TypeVar("T")


class _Sink(Protocol):
    """Takes the text of an element."""

    def add(self, piece: str) -> None: ...


@dataclass(slots=True)
class _Texts:
    """An outcome or a property, and its text so far."""

    tag: str
    attributes: dict[str, str]
    text: Excerpt = field(default_factory=Excerpt)

    def add(self, piece: str) -> None:
        self.text.add(piece)


class JUnitReader:
    """Reads one report; see `report.Reader`."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = _BUFFER_BYTES
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._enter
        self._parser.EndElementHandler = self._leave
        self._parser.CharacterDataHandler = self._read_text
        self._begin = b""
        self._is_utf_16: bool | None = None
        self._bytes = 0
        self._elements = 0
        self._depth = 0
        self._suites: list[Suite] = []
        self._case: Case | None = None
        self._case_depth = 0
        # Elements whose text is wanted, the innermost last, each with its depth.
        self._sinks: list[tuple[int, _Sink]] = []
        self._notes = Notes()
        self._is_of_pytest = False
        self._tool: str | None = None
        self._tests: list[TestResult] = []
        # Where the tests stand that another try may follow.
        self._open: dict[Key, int] = {}

    def feed(self, piece: bytes) -> None:
        """See `report.Reader`."""
        self._bytes += len(piece)
        if self._bytes > MAX_BYTES:
            raise UnreadableReport(f"It is larger than {MAX_BYTES >> 20} MiB")
        if self._is_utf_16 is None:
            piece, self._begin = self._begin + piece, b""
            if len(piece) < len(_UTF_16[0]):
                self._begin = piece
                return
            self._is_utf_16 = piece.startswith(_UTF_16) or b"\0" in piece[:2]
        self._parse(piece if self._is_utf_16 else piece.translate(_WITHOUT_CONTROLS), is_last=False)
        if self._bytes - self._parser.CurrentByteIndex > MAX_TAG_BYTES:
            raise self._unreadable(f"a tag is longer than {MAX_TAG_BYTES >> 20} MiB")

    def close(self) -> Report:
        """See `report.Reader`."""
        self._parse(self._begin, is_last=True)
        return Report(
            format=Format.JUNIT,
            tests=self._tests,
            duration_ms=sum(test.duration_ms or 0.0 for test in self._tests),
            tool=self._tool,
            attachments=self._notes.attachments,
        )

    def _parse(self, piece: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            reason = "it is cut off" if error.code in _CUT_OFF else expat.ErrorString(error.code)
            raise UnreadableReport(f"Line {error.lineno}, column {error.offset + 1}: {reason}") from None
        except (LookupError, ValueError) as error:  # an encoding that nobody knows, or one of several bytes a character
            raise self._unreadable(f"it cannot be decoded: {error}") from None

    def _unreadable(self, reason: str) -> UnreadableReport:
        return UnreadableReport(
            f"Line {self._parser.CurrentLineNumber}, column {self._parser.CurrentColumnNumber + 1}: {reason}"
        )

    def _refuse_doctype(self, *_: object) -> None:
        raise self._unreadable("it has a document type, and those are not read")

    def _enter(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        self._depth += 1
        self._elements += 1
        if self._depth == 1:
            self._check_root(tag, attributes)
        if self._depth > MAX_DEPTH:
            raise self._unreadable(f"elements are nested more than {MAX_DEPTH} deep")
        if self._elements > MAX_ELEMENTS:
            raise self._unreadable(f"there are more than {MAX_ELEMENTS} elements")
        if tag == "testcase":
            self._enter_case(attributes)
        elif tag == "testsuite" and self._case is None:
            self._enter_suite(attributes)
        elif tag == "property" and self._case is not None and "value" in attributes:
            self._case.note_property(attributes.get("name", ""), attributes["value"])
        elif tag in _OUTPUTS:
            self._sinks.append((self._depth, OutputMarks(self._notes if self._case is None else self._case.notes)))
        elif tag in (FAILURES if self._case is None else _IN_CASE):
            self._sinks.append((self._depth, _Texts(tag, attributes)))

    def _check_root(self, tag: str, attributes: dict[str, str]) -> None:
        if tag not in _ROOTS:
            name = shorten(tag, 100)
            raise self._unreadable(f"no JUnit report: its root is <{name}>, not <testsuites> or <testsuite>")
        self._is_of_pytest = attributes.get("name") == "pytest tests"

    def _enter_suite(self, attributes: dict[str, str]) -> None:
        name = shorten(attributes.get("name", ""), TITLE_LENGTH)
        self._suites.append(Suite(name, shorten(attributes.get("file", ""), NAME_LENGTH)))

    def _enter_case(self, attributes: dict[str, str]) -> None:
        if self._case is not None:
            raise self._unreadable("a <testcase> within a <testcase>")
        is_pytest = self._is_of_pytest or any(suite.name == _PYTEST for suite in self._suites)
        self._case = Case(attributes, tuple(self._suites), is_pytest)
        self._case_depth = self._depth
        if is_pytest:
            self._tool = _PYTEST

    def _read_text(self, piece: str) -> None:
        if self._sinks:
            self._sinks[-1][1].add(piece)

    def _leave(self, name: str) -> None:
        if self._sinks and self._sinks[-1][0] == self._depth:
            sink = self._sinks.pop()[1]
            if isinstance(sink, _Texts):
                self._take(sink)
            elif isinstance(sink, OutputMarks):
                sink.close()
        elif self._case is not None and self._case_depth == self._depth:
            case, self._case = self._case, None
            self._add_case(case)
        elif self._case is None and name.rpartition(":")[2] == "testsuite":
            self._suites.pop()
        self._depth -= 1

    def _take(self, read: _Texts) -> None:
        """An outcome or a property is complete."""
        text = str(read.text)
        if self._case is None:
            # What failed is the suite itself: its setup, or its collection.
            self._add(self._of_suite(read, text))
        elif read.tag == "property":
            self._case.note_property(read.attributes.get("name", ""), text)
        elif not any(isinstance(sink, _Texts) for _, sink in self._sinks):
            self._case.note_outcome(read.tag, read.attributes, text)

    def _of_suite(self, read: _Texts, text: str) -> TestResult:
        suite = self._suites[-1] if self._suites else Suite("", "")
        error = error_text(read.attributes, text) or None
        return TestResult(suite.name or read.tag, TestStatus.FAILED, suite.file or suite.name or None, error=error)

    def _add_case(self, case: Case) -> None:
        """A test, or another try of one that was told before.

        Another try follows one that failed. pytest, whose names are unique, tells nothing of a failure that it tried
        again, and tells a failed test again whose teardown failed, too.
        """
        result, key = case.result(), case.key
        index = self._open.pop(key, None)
        if index is not None and (case.is_pytest or result.status is not TestStatus.SKIPPED):
            former = self._tests[index]
            is_teardown = case.is_pytest and (result.error or "").startswith(_TEARDOWN)
            self._tests[index] = _with_teardown(former, result) if is_teardown else _tried_again(former, result)
        else:
            index = len(self._tests)
            self._add(result)
        if result.status is TestStatus.FAILED or (case.is_pytest and result.status is TestStatus.PASSED):
            self._open[key] = index

    def _add(self, test: TestResult) -> None:
        if len(self._tests) >= MAX_TESTS:
            raise self._unreadable(f"there are more than {MAX_TESTS} tests")
        self._tests.append(test)


def _with_teardown(failed: TestResult, teardown: TestResult) -> TestResult:
    error = "\n\n".join(filter(None, (failed.error, teardown.error)))
    return msgspec.structs.replace(failed, error=shorten(error, ERROR_LENGTH))


def _tried_again(former: TestResult, latter: TestResult) -> TestResult:
    """The latter, with the former among its attempts and all that was noted of both."""
    before, after = former.details or _NOTHING, latter.details or _NOTHING
    attempts = (*before.attempts, Attempt(TestStatus.FAILED, former.duration_ms, former.error), *after.attempts)
    return msgspec.structs.replace(
        latter,
        retries=(former.retries or 0) + 1 + (latter.retries or 0),
        tags=_both(former.tags or (), latter.tags or ()) or None,
        details=TestDetails(
            attempts[:MOST_ATTEMPTS],
            _both(before.properties, after.properties),
            _both(before.attachments, after.attachments),
        ),
    )


def _both(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))[:MOST_NOTES]
