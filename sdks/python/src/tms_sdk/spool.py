"""Results that wait on disk for a server that is away: one file a run, one JSON object a line.

`{"run": {…}}` comes first: execution, runner, shard, and the plan where the server does not have it yet. Then
`{"batch": {"key", "leaseId", "shardId", "tests"}}` for results to be sent, `{"close": {…}}` for the shards' end, and
`{"sent": key}` for what the server has taken. The keys are those of the requests, so nothing counts twice, whoever
sends it. A line is on disk before the next one is written. While a run uses its file, it holds a lock on it.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tms_sdk.records import Record

_SUFFIX = ".jsonl"


@dataclass
class Batch:
    """Results that travel in one request.

    Attributes:
        key: tells the request from all others.
        lease_id: what they are reported under; None as long as there is nothing.
        shard_id: the lease's.
        tests: the results.
        sealed: whether the request may have been sent, so that it has to stay as it is.
        kept: whether it is on disk.
    """

    key: str
    lease_id: str | None
    shard_id: str | None
    tests: list[Record]
    sealed: bool = False
    kept: bool = False

    def line(self) -> dict[str, Any]:
        """Print it for the file."""
        return {
            "batch": {"key": self.key, "leaseId": self.lease_id, "shardId": self.shard_id, "tests": self.tests},
        }


class Spool:
    """The file of one run, which is made with the first line to keep."""

    def __init__(self, folder: Path, runner_id: str) -> None:
        self.path = folder / f"{runner_id}{_SUFFIX}"
        self.run: dict[str, Any] = {"runnerId": runner_id}
        self._file: IO[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def write(self, line: dict[str, Any]) -> None:
        """Add a line; it is on disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self.write({"run": self.run})
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self, *, keep: bool) -> None:
        """Let go of the file, and remove it where nothing in it is wanted any more."""
        if self._file is None:
            return
        if not keep:
            remove(self.path)
        self._file.close()
        self._file = None


@dataclass
class Kept:
    """What a file tells: the run, what was not sent yet, and how its shards ended, if they have."""

    path: Path
    run: dict[str, Any] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    end: dict[str, Any] | None = None


def remove(path: Path) -> None:
    """Remove a file, and its folder with the last one."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # other runs keep theirs there
        path.parent.rmdir()


def files(folder: Path) -> list[Path]:
    """The files in a folder, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)


def read(path: Path, lines: Iterable[bytes]) -> Kept:
    """Read a file's lines; a last one that was cut by a crash is left out."""
    kept = Kept(path)
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            break
        match told:
            case {"run": dict(run)}:
                kept.run = run
            case {"batch": {"key": key, "leaseId": lease, "shardId": shard, "tests": tests}}:
                kept.batches.append(Batch(key, lease, shard, tests, sealed=True, kept=True))
            case {"close": dict(end)}:
                kept.end = end
            case {"sent": str(key)}:
                kept.batches = [batch for batch in kept.batches if batch.key != key]
    return kept
