"""What a shard's pytest process leaves behind, as the submission that tells of it."""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from tms_sdk.records import Record, file_of, record, title_of
from tms_sdk.wire import SubmissionStatus


class ExitCode(IntEnum):
    """pytest's exit codes, which `tms run` ends with too."""

    OK = 0
    TESTS_FAILED = 1
    INTERRUPTED = 2
    INTERNAL_ERROR = 3
    USAGE_ERROR = 4
    NO_TESTS = 5


# pytest did all it was asked to; whatever else it exits with, it did not.
_ORDERLY = frozenset({ExitCode.OK, ExitCode.TESTS_FAILED, ExitCode.NO_TESTS})


@dataclass
class Told:
    """What the process has told so far.

    Attributes:
        running: node ids of tests that have begun and not ended, in their order.
        broken: whether a file could not be collected.
        finished: whether pytest has told all it had.
    """

    running: dict[str, None] = field(default_factory=dict)
    broken: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """How a pytest process ended.

    Attributes:
        exit_code: negative for a signal; None where nobody saw it.
        last_lines: the end of what it printed, told where the exit code alone explains nothing.
    """

    exit_code: int | None
    last_lines: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A shard's end.

    Attributes:
        status: to submit.
        tests: records that the process could not tell any more.
        exit_code: what it adds to the run's.
    """

    status: SubmissionStatus
    tests: Sequence[Record]
    exit_code: int


def judge(shard_id: str, told: Told, death: Death) -> Verdict:
    """Decide how a shard ended. `shard_id` names the record that stands for the process, where no test can."""
    code = death.exit_code
    if told.finished and code in _ORDERLY:
        if told.broken:
            return Verdict("error", [], code)
        status: SubmissionStatus = "failed" if code == ExitCode.TESTS_FAILED else "completed"
        return Verdict(status, [], code)
    tests: list[Record] = []
    if not told.broken:
        error = "\n".join(filter(None, [_cause(told, code), death.last_lines]))
        tests = [_died(nodeid, error) for nodeid in told.running] or [
            record(title=f"shard {shard_id}", file="", status="failed", error=error)
        ]
    # A process that died says nothing of its tests, so its own code is no verdict on them.
    orderly_code = told.finished and code is not None and code > 0
    return Verdict("error", tests, code if orderly_code and code is not None else ExitCode.INTERNAL_ERROR)


def worst(exit_codes: Iterable[int]) -> int:
    """Return the exit code of a run from those of its shards; 5 (no tests) only where all are 5."""
    return max((code for code in exit_codes if code != ExitCode.NO_TESTS), default=ExitCode.NO_TESTS)


def _died(nodeid: str, error: str) -> Record:
    return record(title=title_of(nodeid), file=file_of(nodeid), status="failed", error=error)


def _cause(told: Told, exit_code: int | None) -> str:
    if exit_code is None:
        ended = "The pytest process has died"
    elif exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        ended = f"The pytest process was killed by {name}"
    else:
        ended = f"The pytest process exited with code {exit_code}"
    when = " while this test ran" if told.running else ""
    return f"{ended}{when}{'' if told.finished else ', before it had told all its results'}."
