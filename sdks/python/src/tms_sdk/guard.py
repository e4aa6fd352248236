"""Kills the process groups of a runner that is gone.

Run as a program of its own: it reads `+pid` and `-pid` lines from its standard input, whose other end only the runner
holds. When that end closes, the runner has ended or was killed, and the groups still on the list are killed. So a
`kill -9` of the runner leaves no test running, on any POSIX system, without a thread in the processes under test.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Guard:
    """The runner's side: a context in which process groups are guarded."""

    def __enter__(self) -> Self:
        # In a session of its own, so that a Ctrl-C for the runner does not end it first.
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def add(self, group: int) -> None:
        """Guard a process group."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a group whose first process has been waited for: its number may be another's from now on."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        # One small write to a pipe is whole, whichever of our threads makes it.
        if self._process.stdin is not None:
            os.write(self._process.stdin.fileno(), line.encode("ascii"))


def watch(lines: Iterable[str]) -> None:
    """Read the list until its writer is gone, then kill what is left on it."""
    groups = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
