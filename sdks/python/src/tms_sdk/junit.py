"""JUnit XML reports of any tool, read as a stream.

There is no standard, only dialects; `read` takes what tools write (see `tms-sdk`'s README for the mapping). Entities
and external references are refused, depth and size are limited, and one test is in memory at a time.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from tms_sdk.errors import ReportError
from tms_sdk.records import Record, TestStatus, record

MAX_BYTES = 1024 * 1024 * 1024
MAX_DEPTH = 100

_ROOTS = frozenset({"testsuites", "testsuite", "testrun"})
_FAILURES = frozenset({"failure", "error"})
_FLAKES = frozenset({"flakyFailure", "flakyError"})
_RERUNS = frozenset({"rerunFailure", "rerunError"})
_NOT_RUN = frozenset({"disabled", "ignored", "notrun", "skipped", "suppressed"})
_TAG_PROPERTIES = frozenset({"tag", "tags"})


@dataclass(slots=True)
class _Open:
    """The elements around the place of reading, and the suites among them as (name, file)."""

    elements: list[Element] = field(default_factory=list)
    suites: list[tuple[str, str]] = field(default_factory=list)
    in_test: int = 0

    def suite_file(self) -> str:
        """The innermost suite's file, else the innermost suite's name."""
        files = [file for _, file in self.suites if file]
        names = [name for name, _ in self.suites if name]
        return (files or names or [""])[-1]


def read(path: Path) -> Iterator[Record]:
    """Yield a report's tests in the order of the file; a repeated test is yielded each time.

    Raises:
        ReportError: the file is missing, no JUnit XML, malformed, too deep or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReportError(path, f"larger than {MAX_BYTES >> 20} MiB: split the report")
        with path.open("rb") as source:
            yield from _read(path, source)
    except OSError as error:
        raise ReportError(path, error.strerror or str(error)) from error


def _read(path: Path, source: IO[bytes]) -> Iterator[Record]:
    parser = DefusedXMLParser(target=TreeBuilder())
    place = _Open()
    try:
        for event, element in iterparse(source, events=("start", "end"), parser=parser):
            if event == "start":
                _enter(path, place, element)
            else:
                yield from _leave(place, element)
    except ParseError as error:
        reason = str(error).partition(": line")[0]
        raise ReportError(path, f"not well-formed XML: {reason}", error.position[0]) from error
    except DefusedXmlException as error:
        line = parser.parser.CurrentLineNumber
        raise ReportError(path, f"entities and external references are not read: {error}", line) from error
    except (LookupError, ValueError) as error:  # an encoding that nobody knows, or that its bytes are not in
        raise ReportError(path, f"cannot be decoded: {error}") from error


def _enter(path: Path, place: _Open, element: Element) -> None:
    tag = _tag(element)
    if not place.elements and tag not in _ROOTS:
        raise ReportError(path, f"no JUnit report: its root is <{tag}>, not <testsuites> or <testsuite>")
    if len(place.elements) >= MAX_DEPTH:
        raise ReportError(path, f"elements are nested more than {MAX_DEPTH} deep")
    place.elements.append(element)
    if tag == "testsuite":
        place.suites.append((element.get("name", ""), element.get("file", "")))
    place.in_test += tag == "testcase"


def _leave(place: _Open, element: Element) -> Iterator[Record]:
    place.elements.pop()
    tag = _tag(element)
    if tag == "testcase":
        place.in_test -= 1
        yield _test(element, place.suite_file())
    elif tag in _FAILURES and not place.in_test:
        # What failed is the suite itself: its setup, or its collection.
        name = place.suites[-1][0] if place.suites else ""
        yield record(title=name or tag, file=place.suite_file(), status="failed", error=_error(element))
    elif tag == "testsuite":
        place.suites.pop()
    if place.elements and not place.in_test:
        # Nothing outside of a test is read later.
        place.elements[-1].remove(element)


def _test(element: Element, suite_file: str) -> Record:
    children = [(_tag(child), child) for child in element]
    failures = [_error(child) for tag, child in children if tag in _FAILURES]
    skipped = any(tag == "skipped" for tag, _ in children) or not _NOT_RUN.isdisjoint(
        element.get(name, "").lower() for name in ("status", "result")
    )
    status: TestStatus = "failed" if failures else "skipped" if skipped else "passed"
    flakes = sum(tag in _FLAKES for tag, _ in children)
    reruns = sum(tag in _RERUNS for tag, _ in children)
    title, file = _identity(element, suite_file)
    return record(
        title=title,
        file=file,
        status=status,
        seconds=seconds(element.get("time")),
        error="\n\n".join(failures) or None,
        retries=reruns if failures else flakes,
        tags=_tags(element),
    )


def _identity(element: Element, suite_file: str) -> tuple[str, str]:
    """Return title and file.

    The file is the `file` attribute, else the class name, else the suite's. With a `file` attribute that its class name
    spells in dots, what the class name has more is the class, and the title is `Class::name`, as pytest has it.
    """
    name = element.get("name") or ""
    file = element.get("file") or ""
    class_name = element.get("classname") or ""
    if not file:
        return name or class_name or "(no name)", class_name or suite_file
    module = re.sub(r"[/\\]", ".", re.sub(r"\.\w+$", "", file))
    inner = class_name.removeprefix(f"{module}.")
    if inner and inner != class_name:
        return f"{inner.replace('.', '::')}::{name}", file
    return name or class_name or "(no name)", file


def _tags(element: Element) -> list[str]:
    """Return the values of the properties called tag or tags, whether told as attribute or as text."""
    values = (
        (item.get("value") or item.text or "").split(",")
        for item in element.iter()
        if _tag(item) == "property" and item.get("name", "").lower() in _TAG_PROPERTIES
    )
    return list(dict.fromkeys(tag.strip() for value in values for tag in value if tag.strip()))


def _error(element: Element) -> str:
    message = (element.get("message") or "").strip()
    text = "".join(element.itertext()).strip()
    if message and message not in text:
        text = f"{message}\n{text}".rstrip()
    return text or element.get("type") or "failed without a message"


def seconds(text: str | None) -> float | None:
    """Read a `time` attribute; None where it is missing, or no time.

    `1,234.5` and `1.234,5` are both 1234.5: the last separator is the decimal one. A lone comma is a decimal comma, as
    German tools write it; several of one kind group thousands.
    """
    if text is None:
        return None
    number = text.strip()
    comma, dot = number.rfind(","), number.rfind(".")
    if comma > dot and (number.count(",") == 1 or dot >= 0):
        number = number.replace(".", "").replace(",", ".")
    else:
        number = number.replace(",", "")
    if number.count(".") > 1:
        number = number.replace(".", "")
    try:
        value = float(number) if number.isascii() and "_" not in number else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _tag(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
