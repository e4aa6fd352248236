"""One test's result as the API takes it, and the counters over many.

This module is loaded into test processes by the pytest plugin: it imports next to nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, NotRequired, TypedDict

TestStatus = Literal["passed", "failed", "skipped"]

# An error keeps this many characters: a failing test's diff can be megabytes, a submission may not be.
ERROR_HEAD = 4_000
ERROR_TAIL = 12_000
# The server takes no longer name of a test or a file.
LONGEST_NAME = 4_096
_DIGEST_CHARACTERS = 16


class Attempt(TypedDict):
    """One try of a test before the one that counts; `duration` is in milliseconds."""

    status: TestStatus
    duration: int
    error: NotRequired[str]


class Record(TypedDict):
    """A test as the API takes it in `tests[]`; `duration` is in milliseconds."""

    title: str
    file: str
    status: TestStatus
    duration: NotRequired[int]
    error: NotRequired[str]
    retries: int
    attempts: NotRequired[list[Attempt]]
    tags: list[str]


class Counters(TypedDict):
    """The totals of a shard or an execution."""

    total: int
    passed: int
    failed: int
    skipped: int
    flaky: int


def record(
    *,
    title: str,
    file: str,
    status: TestStatus,
    seconds: float | None = None,
    error: str | None = None,
    attempts: Sequence[Attempt] = (),
    tags: Sequence[str] = (),
) -> Record:
    """Make a record that any server can store: no NUL, no lone surrogate, no endless error text."""
    made: Record = {
        "title": usable_name(title),
        "file": usable_name(file),
        "status": status,
        "retries": len(attempts),
        "tags": [clean(tag) for tag in tags],
    }
    if seconds is not None:
        made["duration"] = max(0, round(seconds * 1000))
    if error is not None:
        made["error"] = storable(error)
    if attempts:
        made["attempts"] = list(attempts)
    return made


def attempt(*, status: TestStatus, seconds: float, error: str | None) -> Attempt:
    """Make the record of a try that does not count, under the same rules."""
    made: Attempt = {"status": status, "duration": max(0, round(seconds * 1000))}
    if error is not None:
        made["error"] = storable(error)
    return made


def storable(error: str) -> str:
    """Make an error text one that any server can store."""
    return shorten(clean(error))


def count(tests: Iterable[Record]) -> Counters:
    """Add up records. A test is flaky where it passed after a retry; it counts as passed as well."""
    counters: Counters = {"total": 0, "passed": 0, "failed": 0, "skipped": 0, "flaky": 0}
    for test in tests:
        counters["total"] += 1
        counters[test["status"]] += 1
        counters["flaky"] += test["status"] == "passed" and test["retries"] > 0
    return counters


def clean(text: str) -> str:
    r"""Write out what Postgres and strict JSON readers refuse: NUL as `\x00`, a lone surrogate as `\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def usable_name(text: str) -> str:
    """Make a test's or a file's name one that any server takes: the same on all nodes, and different for each name."""
    name = clean(text)
    if len(name) <= LONGEST_NAME:
        return name
    digest = sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: LONGEST_NAME - _DIGEST_CHARACTERS - 1]}…{digest}"


def file_of(nodeid: str) -> str:
    """Return the file of a pytest node, relative to pytest's rootdir, with forward slashes."""
    return nodeid.partition("::")[0]


def title_of(nodeid: str) -> str:
    """Return a pytest node's name in its file, such as `TestLogin::test_works[admin]`; a whole file's is the file's."""
    return nodeid.partition("::")[2] or nodeid or "(root)"


def shorten(error: str) -> str:
    """Cut the middle out of a long error text: what was called is at its head, what went wrong at its tail."""
    left_out = len(error) - ERROR_HEAD - ERROR_TAIL
    if left_out <= 0:
        return error
    return f"{error[:ERROR_HEAD]}\n… {left_out} characters left out …\n{error[-ERROR_TAIL:]}"


def timestamp(moment: datetime) -> str:
    """Print an aware moment as the API does: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
