"""What a report tells, how it is read and written, and what of it is kept at the most."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from orchestrator.executions.model import Shard, TestResult

MAX_BYTES = 1024 * 1024 * 1024
MAX_TESTS = 250_000
"""Of one submission."""
_NOTE_LENGTH = 50

# What is longer or more is cut: a tool that writes much does no harm, and tests are worth more than their output.
TITLE_LENGTH = 4_000
ERROR_LENGTH = 64_000
NAME_LENGTH = 1_000
MOST_ATTEMPTS = 100
MOST_NOTES = 100
"""Tags, properties and attachments of one test, of each so many."""


class Format(StrEnum):
    """How a report is written."""

    JUNIT = "junit"
    CTRF = "ctrf"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a report tells.

    Attributes:
        tests: in the order of the report.
        duration_ms: of the run where the report tells it, else the sum of its tests'.
        tool: what made it, where the report tells it.
        attachments: names of files that belong to no single test.
        warnings: what was left out of account, for people.
    """

    format: Format
    tests: list[TestResult]
    duration_ms: float
    tool: str | None = None
    attachments: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads one report that comes in pieces of any size."""

    def feed(self, piece: bytes) -> None:
        """Read on.

        Raises:
            UnreadableReport: it is no such report, or over a limit.
        """

    def close(self) -> Report:
        """The report, once all of it was fed.

        Raises:
            UnreadableReport: it is no such report, or cut off.
        """


class Writer(Protocol):
    """Writes one report in pieces: `begin`, then for each shard `shard` and any number of `tests`, then `end`."""

    def begin(self) -> bytes:
        """What comes first."""

    def shard(self, shard: Shard) -> bytes:
        """What comes before the tests of a shard."""

    def tests(self, tests: Sequence[TestResult]) -> bytes:
        """Some tests of the shard that was begun last."""

    def end(self) -> bytes:
        """What comes last."""


def shorten(text: str, length: int, left_out: int = 0) -> str:
    r"""A text that the store can hold, the middle of a long one cut out: what matters is at its head and its tail.

    Args:
        text: may have NUL characters, which are written out as `\x00`.
        length: how long it may be; a quarter is kept of the head, the rest of the tail.
        left_out: how many characters were cut out of its middle before.
    """
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if not left_out and len(text) <= length:
        return text
    head = length // 4
    tail = length - head - _NOTE_LENGTH
    left_out += len(text) - head - tail
    return f"{text[:head]}\n… {left_out} characters left out …\n{text[-tail:]}"


class Excerpt:
    """A text that comes in pieces, of which only as much stays in memory as `shorten` will keep."""

    __slots__ = ("_held", "_left_out", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._held = 0
        self._left_out = 0

    def add(self, piece: str) -> None:
        """The next piece."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > 4 * ERROR_LENGTH:
            whole = "".join(self._pieces)
            self._left_out += self._held - 2 * ERROR_LENGTH
            self._held = 2 * ERROR_LENGTH
            self._pieces = [whole[:ERROR_LENGTH], whole[-ERROR_LENGTH:]]

    def __str__(self) -> str:
        """The text without spaces around it, a long one shortened."""
        return shorten("".join(self._pieces).strip(), ERROR_LENGTH, self._left_out)
