"""Processes of other programs: find them, end them, start one and keep it running."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil
import structlog

from orchestrator.errors import Misconfigured
from storage.embedded import launch
from storage.embedded.account import Account

Ending = Sequence[tuple[signal.Signals, float]]
"""How to end a process: signals, the polite one first, each with the seconds to wait for its effect."""

BY_FORCE: Ending = ((signal.SIGKILL, 10.0),)

ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
"""All that the programs see of the environment: nothing set for other servers may reach them."""

# Not a promise of speed: a Postgres that was killed under load may have gigabytes of log to replay.
START_SECONDS = 300.0
POLL_SECONDS = 0.01
REVIVE_PAUSE_SECONDS = 1.0
LOG_LINES = 15

log = structlog.get_logger(__name__)


class EmbeddedServerFailed(Misconfigured):
    """An embedded server did not start or did not stop; the message ends with the last lines it wrote."""

    code = "EMBEDDED_SERVER_FAILED"


class Program(Protocol):
    """A server program that a `Keeper` can keep running."""

    name: str
    folder: Path
    """Working folder, in which no other program runs."""
    log_file: Path
    account: Account
    death_signal: signal.Signals
    """What it is sent when our process dies (on Linux)."""
    ending: Ending

    async def prepare(self) -> None:
        """End what an earlier run left and make what a start needs."""

    async def clear(self) -> None:
        """End whatever of the program still runs and remove what it left behind."""

    def command(self) -> Sequence[str]:
        """Path of the program and its arguments."""

    async def is_ready(self, pid: int) -> bool:
        """Whether the process with this pid serves now."""


def running_in(folder: Path, name: str) -> list[psutil.Process]:
    """The live processes called `name` that work in `folder`.

    A pid in a file proves nothing: its process may be gone, be a zombie that nobody reaps, or be another program that
    was given the number since. The name and the working folder of a live process do.
    """
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != name:
            continue
        # A process of another user cannot be ours; one that went meanwhile is none.
        with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            if is_alive(process) and process.cwd() == str(folder):
                found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def end(processes: Sequence[psutil.Process], ending: Ending) -> None:
    """End processes, children of ours or not, and wait until they are gone.

    Raises:
        EmbeddedServerFailed: one outlived every signal.
    """
    alive = [process for process in processes if is_alive(process)]
    for step, seconds in ending:
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(step)
        deadline = time.monotonic() + seconds
        while alive := [process for process in alive if is_alive(process)]:
            if time.monotonic() > deadline:
                log.warning("signal_without_effect", signal=step.name, pids=[process.pid for process in alive])
                break
            await asyncio.sleep(POLL_SECONDS)
    if alive:
        raise EmbeddedServerFailed(f"Processes {[process.pid for process in alive]} cannot be ended")


async def run(command: Sequence[str], *, folder: Path, account: Account, text: str = "") -> str:
    """Run a program to its end in `folder`, with `text` as its input, and give its output.

    Raises:
        EmbeddedServerFailed: it ended with an error; the message has its last lines.
    """
    process = await _spawn(
        command,
        folder=folder,
        account=account,
        death_signal=signal.SIGKILL,
        # A pipe only where something goes in: a program that ends without reading would break it, an error in uvloop.
        stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
        output=asyncio.subprocess.PIPE,
    )
    try:
        output = (await process.communicate(text.encode() or None))[0].decode(errors="replace")
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise EmbeddedServerFailed(
            f"{Path(command[0]).name} ended with {_ended(process.returncode)}:\n{_last_lines(output)}"
        )
    return output


class Keeper:
    """Starts a program, keeps it running, and stops it.

    A program that dies is started again at the same address, as often as it takes. The kernel ties the program's life
    to the thread that runs the event loop, so `start` belongs on a thread that lasts as long as the program shall.

    Attributes:
        starts: how often it was started and served.
    """

    def __init__(self, program: Program) -> None:
        self.starts = 0
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._log = log.bind(server=program.name)

    @property
    def name(self) -> str:
        """Of the program."""
        return self._program.name

    @property
    def pid(self) -> int | None:
        """Pid of the running program; None while there is none."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Start the program and return when it serves.

        Raises:
            EmbeddedServerFailed: it ended before it served, or took too long.
        """
        process = await self._launch()
        self._keeping = asyncio.create_task(self._keep(process), name=f"keep {self._program.name}")

    async def stop(self) -> None:
        """Stop the program; without effect if it does not run."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
            self._keeping = None
        await self._end()

    async def restart(self) -> None:
        """Stop the program in order, then start it at the same address."""
        await self.stop()
        await self.start()

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        while True:
            since = time.monotonic()
            returncode = await process.wait()
            self._log.warning("embedded_server_died", pid=process.pid, ended_with=_ended(returncode))
            if time.monotonic() - since < REVIVE_PAUSE_SECONDS:
                await asyncio.sleep(REVIVE_PAUSE_SECONDS)
            process = await self._revive()

    async def _revive(self) -> asyncio.subprocess.Process:
        while True:
            try:
                return await self._launch()
            except (Misconfigured, OSError) as error:
                self._log.error("embedded_server_not_revived", error=str(error))
                await asyncio.sleep(REVIVE_PAUSE_SECONDS)

    async def _launch(self) -> asyncio.subprocess.Process:
        began = time.monotonic()
        program = self._program
        await program.prepare()
        with program.log_file.open("ab") as output:
            log_start = output.tell()
            process = self._process = await _spawn(
                program.command(),
                folder=program.folder,
                account=program.account,
                death_signal=program.death_signal,
                stdin=asyncio.subprocess.DEVNULL,
                output=output.fileno(),
            )
        try:
            await self._until_ready(process, lambda: _last_lines(_read_from(program.log_file, log_start)))
        except BaseException:
            await self._end()
            raise
        self.starts += 1
        self._log.info("embedded_server_ready", pid=process.pid, seconds=round(time.monotonic() - began, 3))
        return process

    async def _until_ready(self, process: asyncio.subprocess.Process, last_lines: Callable[[], str]) -> None:
        name = self._program.name
        deadline = time.monotonic() + START_SECONDS
        while not await self._program.is_ready(process.pid):
            if process.returncode is not None:
                raise EmbeddedServerFailed(
                    f"{name} ended with {_ended(process.returncode)} while it started:\n{last_lines()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"{name} did not start within {START_SECONDS:.0f} s:\n{last_lines()}")
            await asyncio.sleep(POLL_SECONDS)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            await end([psutil.Process(process.pid)], self._program.ending)
        await process.wait()
        await self._program.clear()


async def _spawn(
    command: Sequence[str], *, folder: Path, account: Account, death_signal: signal.Signals, stdin: int, output: int
) -> asyncio.subprocess.Process:
    """Start a program that runs as `account` and does not outlive us; stderr goes where stdout goes."""
    launcher = (sys.executable, "-I", "-S", launch.__file__)
    who = (str(number) for number in (os.getpid(), death_signal.value, account.uid, account.gid))
    return await asyncio.create_subprocess_exec(
        *launcher,
        *who,
        *command,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=stdin,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in a terminal is for the server, which then stops its servers in order
    )


def _ended(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def _read_from(file: Path, position: int) -> str:
    with file.open("rb") as stream:
        stream.seek(position)
        return stream.read().decode(errors="replace")


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_LINES:])
