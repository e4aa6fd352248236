"""The command of a shard, as its runner holds it; `keeper` is what ends it in any case."""

import asyncio
import os
import subprocess
import sys
from asyncio import ReadTransport, StreamReader, StreamReaderProtocol
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

_KEEPER = Path(__file__).with_name("keeper.py")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a keeper is told.

    Attributes:
        command: the program and its arguments.
        folder: where it is run.
        environment: all of its variables.
        grace_seconds: between SIGTERM and SIGKILL.
        scratch: a folder that the keeper removes if the runner dies.
    """

    command: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    grace_seconds: float
    scratch: str


class _Pipe(NamedTuple):
    """The end of a pipe that is read."""

    reader: StreamReader
    transport: ReadTransport


class ShardProcess:
    """A command that runs.

    Attributes:
        output: what it writes; ends when nothing of it is left.
    """

    def __init__(self, control: int, report: _Pipe, output: _Pipe) -> None:
        self._control: int | None = control
        self._report, self._pipes = report.reader, (report, output)
        self.output = output.reader

    @classmethod
    async def start(cls, order: Order) -> Self:
        """Start it; that it cannot be started is told by its output and its exit code.

        Raises:
            OSError: not even the keeper can be started.
        """
        control, report, output = os.pipe(), os.pipe(), os.pipe()
        theirs = (control[0], report[1], output[1])
        try:
            await asyncio.to_thread(_start, *theirs)
        finally:
            for end in theirs:
                os.close(end)
        process = cls(control[1], await _opened(report[0]), await _opened(output[0]))
        await asyncio.to_thread(_write_all, control[1], msgspec.json.encode(order) + b"\n")
        return process

    def stop(self) -> None:
        """Ask it to end: SIGTERM to all of its processes, and SIGKILL after the grace."""
        if self._control is not None:
            try:
                os.write(self._control, b"stop\n")
            except BrokenPipeError:
                return  # it has ended

    async def wait(self) -> int | None:
        """Its exit code, negative for a signal's number; None if its keeper was killed."""
        line = await self._report.readline()
        return int(line) if line else None

    def close(self) -> None:
        """Let go of it; what still runs is killed."""
        if self._control is not None:
            os.close(self._control)
            self._control = None
        for pipe in self._pipes:
            pipe.transport.close()


def _start(control: int, report: int, output: int) -> None:
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-I", str(_KEEPER), str(control), str(report)],
        pass_fds=(control, report),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=True,
    )


def _write_all(pipe: int, data: bytes) -> None:
    """An order may be longer than a pipe holds."""
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except BrokenPipeError:
        return  # the keeper was killed, which `wait` tells


async def _opened(pipe: int) -> _Pipe:
    reader = StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0)
    )
    return _Pipe(reader, transport)
