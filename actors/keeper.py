"""Keeps a command: starts it, and sees to it that nothing of it is left, whatever becomes of who asked for it.

Run as a program of its own, with two pipes. From one it reads an order (a line of JSON), and later a line that asks it
to stop the command. When the other end of that pipe closes, who asked is gone: everything is killed at once. Into the
other pipe it writes how the command ended. The command writes its output where this program would.

It leaves its parent at once, for Ray kills the children of a worker that ends. On Linux it inherits whatever the
command's processes leave behind in whichever group and session (`PR_SET_CHILD_SUBREAPER`), so that it finds and ends
these too.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import psutil

CANNOT_START = 127
LOOK_SECONDS = 0.05
LAST_SECONDS = 10.0
"""How long killed processes are waited for: one may hang in the kernel."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """One command and all of its processes."""

    def __init__(self, command: subprocess.Popen[bytes], grace_seconds: float) -> None:
        self._command = command
        self._grace_seconds = grace_seconds
        self._exit_code: int | None = None

    def keep(self, control: int) -> int | None:
        """Wait for the end of the command; its exit code, None where who asked for it is gone."""
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        until: float | None = None
        while True:
            self._reap()
            if until is None:
                if self._exit_code is not None:
                    break
            elif monotonic() >= until or not self._family():
                break
            ready, _, _ = select.select([control, woken], [], [], None if until is None else LOOK_SECONDS)
            if woken in ready:
                os.read(woken, 1024)
            if control in ready:
                if not os.read(control, 1024):
                    self._kill_all()
                    return None
                until = until or monotonic() + self._grace_seconds
                self._signal_all(signal.SIGTERM)
        self._kill_all()
        return self._exit_code

    def _family(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._family():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(number)

    def _kill_all(self) -> None:
        """Kill until nothing is left: a process may start another one while it is looked for."""
        until = monotonic() + LAST_SECONDS
        while monotonic() < until:
            self._reap()
            if not self._family():
                return
            if self._exit_code is None:  # later, the number may be another group's
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._command.pid, signal.SIGKILL)
            self._signal_all(signal.SIGKILL)
            sleep(LOOK_SECONDS / 10)

    def _reap(self) -> None:
        """Take leave of all that have ended: the command, and what it left behind."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._command.pid:
                    self._exit_code = os.waitstatus_to_exitcode(status)


def main(control: int, report: int) -> None:
    """Carry out the order that comes through a pipe.

    Args:
        control: the end of a pipe: an order, and maybe a line more.
        report: the end of another: the exit code, as a line.
    """
    if os.fork():
        return
    os.setsid()
    dies_with_parent = _prepare()
    with os.fdopen(os.dup(control), "rb", buffering=0) as pipe:
        line = pipe.readline()
    if not line.endswith(b"\n"):
        return
    order: dict[str, Any] = json.loads(line)
    exit_code = _carry_out(order, control, dies_with_parent)
    if exit_code is None:
        shutil.rmtree(order["scratch"], ignore_errors=True)
    else:
        os.write(report, f"{exit_code}\n".encode())


def _carry_out(order: dict[str, Any], control: int, dies_with_parent: Callable[[], None] | None) -> int | None:
    try:
        command = subprocess.Popen(  # noqa: S603 - what an administrator has registered; no shell
            order["command"],
            cwd=order["folder"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=dies_with_parent,  # noqa: PLW1509 - this process has no threads
        )
    except OSError as error:
        print(f"tms: {error.filename} cannot be started: {error.strerror}", flush=True)  # noqa: T201 - the output
        return CANNOT_START
    return Keeper(command, order["grace_seconds"]).keep(control)


def _prepare() -> Callable[[], None] | None:
    """Inherit orphans; what the command is to do first, so that it ends if this process is killed. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
