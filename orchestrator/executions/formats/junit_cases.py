"""From what a `<testcase>` says to a test, in the words of the tool that wrote it.

There is no standard, only dialects: where a name, a class and a file stand differs by tool, and so does how a test is
told that was tried several times.
"""

import math
import re
from dataclasses import dataclass, field

from orchestrator.executions.formats.notes import Notes
from orchestrator.executions.formats.report import ERROR_LENGTH, MOST_ATTEMPTS, NAME_LENGTH, TITLE_LENGTH, shorten
from orchestrator.executions.model import Attempt, TestResult, TestStatus

FAILURES = frozenset({"failure", "error"})
_FLAKES = frozenset({"flakyFailure", "flakyError"})
_RERUNS = frozenset({"rerunFailure", "rerunError"})
OUTCOMES = FAILURES | _FLAKES | _RERUNS | {"skipped"}

NO_NAME = "(no name)"
_NOT_RUN = frozenset({"disabled", "ignored", "notrun", "skipped", "suppressed"})
_TAGS = frozenset({"tag", "tags"})
_LONGEST_MS = 1e15
_LONGEST_NUMBER = 40

Key = tuple[str, ...]


@dataclass(slots=True)
class Suite:
    """A `<testsuite>` around the place of reading."""

    name: str
    file: str


@dataclass(slots=True)
class Case:
    """A `<testcase>`, as far as it is read.

    Attributes:
        suites: around it, the outermost first.
        is_pytest: pytest wrote it, whose names are unique.
        failures: the text of each `<failure>` and `<error>`.
        flakes, reruns: the tries that Surefire tells of beside the one that decided.
        skipped: why it was skipped; None if it was not.
    """

    attributes: dict[str, str]
    suites: tuple[Suite, ...]
    is_pytest: bool
    failures: list[str] = field(default_factory=list)
    flakes: list[Attempt] = field(default_factory=list)
    reruns: list[Attempt] = field(default_factory=list)
    skipped: str | None = None
    notes: Notes = field(default_factory=Notes)

    @property
    def key(self) -> Key:
        """The same for all tries of one test, and another for other tests of the same title."""
        own = (self.attributes.get(name, "") for name in ("classname", "name", "file", "line"))
        return (*own, *(suite.name for suite in self.suites))

    def note_property(self, name: str, value: str) -> None:
        """A `<property>`: some names have a meaning."""
        if name.lower() in _TAGS:
            for tag in value.split(","):
                self.notes.add_tag(tag)
        elif name.lower().startswith("attachment"):
            self.notes.add_attachment(value)
        else:
            self.notes.add_property(name, value)

    def note_outcome(self, tag: str, attributes: dict[str, str], text: str) -> None:
        """One of `OUTCOMES`."""
        if tag == "skipped":
            message = attributes.get("message", "").strip()
            self.skipped = text if message in ("", "true") else message  # Node says "true" where it knows no reason
            return
        error = error_text(attributes, text)
        if tag in FAILURES:
            if len(self.failures) < MOST_ATTEMPTS:
                self.failures.append(error)
        else:
            tries = self.flakes if tag in _FLAKES else self.reruns
            tries.append(_failed(milliseconds(attributes.get("time")), error or None))

    def result(self) -> TestResult:
        """The test it tells of."""
        title, file = self._identity()
        duration = milliseconds(self.attributes.get("time"))
        error: str | None = None
        attempts = self.flakes
        if self.failures or self.reruns:
            status = TestStatus.FAILED
            error = shorten("\n\n".join(filter(None, self.failures)), ERROR_LENGTH) or None
            if self.reruns:
                # Surefire's `<failure>` is the first try; what was tried again follows it.
                last = self.reruns[-1]
                attempts = [*attempts, _failed(duration, error), *self.reruns[:-1]]
                error, duration = last.error, duration if last.duration_ms is None else last.duration_ms
        elif self.skipped is not None or self._says_it_did_not_run():
            status = TestStatus.SKIPPED
            error = shorten(self.skipped or "", ERROR_LENGTH) or None
        else:
            status = TestStatus.PASSED
        return TestResult(
            title=shorten(title, TITLE_LENGTH),
            status=status,
            file=shorten(file, NAME_LENGTH) or None,
            duration_ms=duration,
            error=error,
            retries=len(attempts),
            tags=self.notes.tags,
            details=self.notes.details(attempts),
        )

    def _says_it_did_not_run(self) -> bool:
        return not _NOT_RUN.isdisjoint(self.attributes.get(name, "").lower() for name in ("status", "result"))

    def _identity(self) -> tuple[str, str]:
        """Title and file; an empty file for none."""
        name, class_name, file = (self.attributes.get(key, "") for key in ("name", "classname", "file"))
        names = [suite.name for suite in self.suites if suite.name]
        file = file or next((suite.file for suite in reversed(self.suites) if suite.file), "")
        if self.is_pytest and not file:
            return _of_pytest(name, class_name)
        if class_name == "test" != file and not self.is_pytest:
            # Node's runner gives every test this class; what tells them apart are the suites around them.
            return " > ".join([*names, name]), file
        if self.attributes.get("status") in ("run", "notrun") and class_name:
            # GoogleTest: many suites of one file have tests of the same name, and `Suite.Name` is what it runs by.
            return f"{class_name}.{name}", file or class_name
        if not file:
            # Jest's reporter gives a test's name twice: such a class is none.
            return name or class_name or NO_NAME, "".join(names[-1:]) if class_name in ("", name) else class_name
        inner = class_name.removeprefix(f"{module_of(file)}.")
        if inner and inner != class_name != file:
            return f"{inner.replace('.', '::')}::{name}", file
        return name or class_name or NO_NAME, file


def _of_pytest(name: str, class_name: str) -> tuple[str, str]:
    """As in pytest's node ids: its class name is the module's, then those of classes, which begin with a capital."""
    parts = class_name.split(".")
    modules = next((index for index, part in enumerate(parts) if part[:1].isupper()), len(parts))
    file = "/".join(parts[:modules])
    return "::".join([*parts[modules:], name]), f"{file}.py" if file else ""


def module_of(file: str) -> str:
    """A path as the class names of tools spell it: in dots, without its ending."""
    return re.sub(r"[/\\]", ".", re.sub(r"\.\w+$", "", file))


def _failed(duration_ms: float | None, error: str | None) -> Attempt:
    return Attempt(TestStatus.FAILED, duration_ms, error)


def error_text(attributes: dict[str, str], text: str) -> str:
    """What an outcome says: its text, headed by its message where the text does not have it, else its type."""
    message = shorten(attributes.get("message", "").strip(), ERROR_LENGTH)
    if message and message not in text:
        text = f"{message}\n{text}".rstrip()
    return shorten(text or attributes.get("type", ""), ERROR_LENGTH)


def milliseconds(text: str | None) -> float | None:
    """A `time` attribute, which is in seconds; None where it is missing, or no time.

    `1,234.5` and `1.234,5` are both 1234.5: the last separator is the decimal one. A lone comma is a decimal comma, as
    German tools write it; several of one kind group thousands.
    """
    if text is None or len(text) > _LONGEST_NUMBER or not text.isascii() or "_" in text:
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
        value = float(number) * 1000
    except ValueError:
        return None
    return round(value, 3) if math.isfinite(value) and 0 <= value <= _LONGEST_MS else None
