"""How a pytest process and the runner that speaks to the server for it understand each other.

Both ways are one JSON object a line. A Unix socket carries what somebody waits for, and a file, the journal, what
happens to single tests: writing to it wakes nobody up, and it outlives a process that is killed. The process under test
so needs no network, no thread and no HTTP client: what a test does to any of these does not reach us.

In the journal: `{"start": id}` a test begins · `{"passed": seconds}` the one that began last has passed · `{"test":
{"id", …}}` a test has ended in any way. Behind the last line there are zeros.

On the socket from pytest: `{"hello": {"pid", "distributed", "journal"}}` · `{"manifest": {"tests": {id: [label]},
"sizes": {file: bytes}, "ready": [record], "runnable", "ahead"}}` what was collected; `ready` are files that failed or
were skipped as a whole; `ahead`: all of it is being run already · `{"select": …}` the same from a worker of
pytest-xdist · `{"want": true}` the next lease, please · `{"term": true}` SIGTERM came · `{"finish": {"code",
"interrupted"}}` all has been told.

On the socket to pytest: `{"lease": {"id", "tests", "quarantined", "last"}}` · `{"leased": {"id", "quarantined"}}` what
was begun ahead has a lease now, or will get none so soon · `{"done": true}` nothing more will come · `{"abandon":
lease}` others have its tests · `{"stop": reason}` · `{"refused": reason}` · `{"said": words}` for the user · `{"end":
code}` everything is delivered or kept; exit with this code.

Loaded into test processes: it imports next to nothing.
"""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from json.encoder import encode_basestring_ascii
from mmap import mmap
from os import getpid
from typing import Any, Self

_PIECE_BYTES = 1 << 18

# Bound here, where no test can have put something else in their place yet.
_encode = json.JSONEncoder().encode
_quoted = encode_basestring_ascii
_decode = json.loads


class Closed(Exception):
    """The other end is gone."""


class Channel:
    """One end."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._owner = getpid()
        self._rest = b""
        self._arrived: list[bytes] = []

    @classmethod
    def connect(cls, path: str) -> Self:
        """Connect to a listening socket."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(path)
        return cls(connected)

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it. What a test forks may run on as a second pytest, which is not heard."""
        return getpid() == self._owner

    def send(self, line: dict[str, Any]) -> None:
        """Send a line. Nothing happens where the other end is gone: `receive` tells."""
        if not self.is_ours:
            return
        with suppress(OSError):
            self._socket.sendall(_encode(line).encode("ascii") + b"\n")

    def receive(self) -> dict[str, Any]:
        """Wait for a line.

        Raises:
            Closed: none will come.
        """
        if not self.is_ours:
            raise Closed
        while not self._arrived:
            try:
                self._take(self._socket.recv(_PIECE_BYTES))
            except OSError as error:
                raise Closed from error
        line: dict[str, Any] = _decode(self._arrived.pop(0))
        return line

    def arrived(self) -> dict[str, Any] | None:
        """Return a line that has come; None where there is none yet."""
        if not self._arrived and self.is_ours:
            try:
                self._take(self._socket.recv(_PIECE_BYTES, socket.MSG_DONTWAIT))
            except (Closed, OSError):
                return None
        return self.receive() if self._arrived else None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _take(self, piece: bytes) -> None:
        if not piece:
            raise Closed
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._arrived += lines


class Journal:
    """The writing end of the journal.

    It is a file that this process has in its memory: what is written is there for the reader, whatever kills the
    process then, and costs no system call. Opened once: a test that fakes the file system, or closes files that are not
    its own, does not reach it.
    """

    def __init__(self, path: str) -> None:
        self._owner = getpid()
        self._file = open(path, "xb+", buffering=0)  # noqa: PTH123, SIM115 - as said above
        self._end = 0
        self._memory = self._grown(_PIECE_BYTES)

    def start(self, test_id: str) -> None:
        """Write that a test begins."""
        self._write(f'{{"start": {_quoted(test_id)}}}\n')

    def passed(self, seconds: float) -> None:
        """Write that the test that began last has passed, and nothing more is to be said of it; so do nearly all."""
        self._write(f'{{"passed": {seconds!r}}}\n')

    def end(self, test_id: str, ended: Mapping[str, Any]) -> None:
        """Write how a test has ended."""
        self._write(_encode({"test": {"id": test_id, **ended}}) + "\n")

    def close(self) -> None:
        """Write no more."""
        self._memory.close()
        self._file.close()

    def _write(self, line: str) -> None:
        if getpid() != self._owner:  # a fork of the process is not heard
            return
        if self._memory[self._end]:  # a signal has come between a former line and its end
            self._end = self._memory.find(b"\0", self._end)
        content = line.encode("ascii")
        end = self._end + len(content)
        if end >= len(self._memory):
            self._memory.close()
            self._memory = self._grown(end + _PIECE_BYTES)
        self._memory[self._end : end] = content
        self._end = end

    def _grown(self, size: int) -> mmap:
        # Zeros that are really written: to touch a page for which the disk has no place would kill the process.
        self._file.write(bytes(size - self._file.tell()))
        return mmap(self._file.fileno(), size)
