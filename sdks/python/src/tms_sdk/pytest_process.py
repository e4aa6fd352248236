"""One pytest process of ours: the user's command, with orders for the plugin, in a process group of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tms_sdk.errors import UsageError
from tms_sdk.guard import Guard
from tms_sdk.spool import COLLECT_OPTIONS, ORDERS_VARIABLE, RUN_OPTIONS, Orders, SpoolReader

# The stack that pytest prints at a crash is long, and what the test itself said last stands before it.
LAST_LINES = 200
STOP_SECONDS = 5.0


class PytestProcess:
    """A started process; use it as a context, at whose end it is dead.

    Its output goes to a file. A pipe would be kept open by whatever a test leaves running, and would make a test wait
    for a slow reader.

    Args:
        command: the user's command, such as `["pytest", "tests", "-k", "login"]`.
        folder: an existing folder for orders, spool and output.
        name: what to call them; unique in the folder.
        shard: the shard to run, or None to collect only.
        plan: each file's shard.
        guard: kills the process if we are killed.

    Raises:
        UsageError: the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path, name: str, shard: int | None, plan: dict[str, int], guard: Guard
    ) -> None:
        self._guard = guard
        self._output = folder / f"{name}.output"
        spool = folder / f"{name}.spool"
        self._spool = SpoolReader(spool)
        orders: Orders = {"spool": str(spool), "shard": shard, "plan": plan}
        orders_file = folder / f"{name}.orders"
        orders_file.write_text(json.dumps(orders), encoding="utf-8")
        options = COLLECT_OPTIONS if shard is None else RUN_OPTIONS
        environ = os.environ | {
            ORDERS_VARIABLE: str(orders_file),
            # Works through wrappers too (`uv run pytest`, `coverage run -m pytest`), and leaves the command as it is.
            "PYTEST_ADDOPTS": f"{options} {os.environ.get('PYTEST_ADDOPTS', '')}".strip(),
        }
        try:
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - running the user's command is what we are for
                    [_program(command[0]), *command[1:]],
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._spool.close()
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
        self._spool.close()

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

    def news(self) -> list[dict[str, Any]]:
        """Return the spool's lines since the last call."""
        return self._spool.news()

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
