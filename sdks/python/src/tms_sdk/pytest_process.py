"""One pytest process of ours: the user's command, with options for the plugin, in a process group of its own."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tms_sdk.errors import UsageError
from tms_sdk.guard import Guard

# The stack that pytest prints at a crash is long, and what the test itself said last stands before it.
LAST_LINES = 200
STOP_SECONDS = 5.0


class PytestProcess:
    """A started process; use it as a context, at whose end it is dead.

    Its output goes to a file. A pipe would be kept open by whatever a test leaves running, and would make a test wait
    for a slow reader.

    Args:
        command: the user's command, such as `["pytest", "tests", "-k", "login"]`.
        output: the file for what it prints.
        options: what pytest gets on top.
        environ: what its environment gets on top.
        guard: kills the process if we are killed.

    Raises:
        UsageError: the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, output: Path, options: Sequence[str], environ: Mapping[str, str], guard: Guard
    ) -> None:
        self._guard = guard
        self._output = output
        # Works through wrappers too (`uv run pytest`, `coverage run -m pytest`), and leaves the command as it is.
        addopts = f"{shlex.join(options)} {os.environ.get('PYTEST_ADDOPTS', '')}".strip()
        try:
            with output.open("wb") as file:
                self._process = subprocess.Popen(  # noqa: S603 - running the user's command is what we are for
                    [_program(command[0]), *command[1:]],
                    env={**os.environ, **environ, "PYTEST_ADDOPTS": addopts},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError(
                f"Cannot start {command[0]}: {error.strerror}. Is it installed, and on the path?"
            ) from error
        guard.add(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._guard.remove(self._process.pid)

    def wait(self, seconds: float) -> int | None:
        """Wait at most so long for the process to end; return its exit code (a signal's is negative), or None."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def stop(self) -> None:
        """Do what Ctrl-C does to the process and all it has started; what does not end by it is killed."""
        self._signal(signal.SIGINT)
        self.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def output(self) -> str:
        """Return all the process has printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def last_lines(self) -> str:
        """Return the end of what the process has printed."""
        with self._output.open(encoding="utf-8", errors="replace") as output:
            return "".join(deque(output, LAST_LINES)).rstrip()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _program(name: str) -> str:
    """Find a command as a shell does; failing that, beside our own interpreter, whose folder may not be on the path."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent)) or name
