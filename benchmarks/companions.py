"""Processes of a benchmark's own: what loads, reads or serves gets one, so that none waits for another."""

import asyncio
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LEAVE_SECONDS = 10.0

# Forks of a process that has nothing but the modules: as quick as a fork, without this one's threads and sockets.
_context = get_context("forkserver")


class CompanionFailed(Exception):
    """A process ended, or was silent, before it had told what it was to tell."""


class Companion:
    """A process that works beside this one, and is ended with the `with` block.

    Its work is a function whose first argument is its end of a pipe; the function returns when it is told to.
    """

    def __init__(self, work: Callable[Concatenate[Connection, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        self._pipe, theirs = _context.Pipe()
        self._name = work.__qualname__
        self._process = _context.Process(target=work, args=(theirs, *args), kwargs=kwargs, daemon=True)
        self._process.start()
        theirs.close()

    def hear(self, seconds: float) -> Any:  # noqa: ANN401 - whatever that process sends
        """The next thing it tells.

        Raises:
            CompanionFailed: it ended before, or was silent for so long.
        """
        if not self._pipe.poll(seconds):
            raise CompanionFailed(f"{self._name} was silent for {seconds:g} s")
        try:
            return self._pipe.recv()
        except EOFError:
            self._process.join(LEAVE_SECONDS)
            raise CompanionFailed(f"{self._name} ended with {self._process.exitcode}") from None

    def tell(self, what: object) -> None:
        """Send it something."""
        self._pipe.send(what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(LEAVE_SECONDS if error is None else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def alone(seconds: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a process of its own.

    Args:
        seconds: how long it may take.
        work: a function of a module's top level; its arguments and its result can be pickled.
        *args: its arguments.
        **kwargs: its arguments by name.

    Raises:
        CompanionFailed: it raised (its traceback is on standard error), or took too long.
    """
    with Companion(_answer, work, args, kwargs) as companion:
        answer: R = companion.hear(seconds)
        return answer


def _answer(pipe: Connection, work: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    pipe.send(work(*args, **kwargs))


async def told(pipe: Connection) -> bool:
    """Wait until the other end tells something (True) or closes the pipe (False)."""
    return await asyncio.to_thread(_told, pipe)


def _told(pipe: Connection) -> bool:
    try:
        pipe.recv()
    except EOFError:
        return False
    return True
