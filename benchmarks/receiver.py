"""The receiver of a benchmark's deliveries: a process of its own, cheap enough to leave the machine to the senders.

It understands just enough of HTTP/1.1 to be honest: it reads each request to its end, and answers it with 204. Every
path is an endpoint; what comes to one under `HANGING` is never answered.
"""

import asyncio
from contextlib import suppress
from multiprocessing.connection import Connection
from time import monotonic
from typing import cast

import msgspec
import uvloop

from benchmarks.companions import Companion

HANGING = "/hanging"
START_SECONDS = 30.0
TELL_SECONDS = 30.0

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\nContent-Length: "
_ID = b"\r\nwebhook-id: "
_HANGING_REQUEST = f"POST {HANGING}".encode()


class Expect(msgspec.Struct, frozen=True):
    """What to wait for: so many different messages, or the end of the time."""

    messages: int
    seconds: float


class Arrived(msgspec.Struct, frozen=True):
    """What came since it was asked last.

    Attributes:
        moments: when each message came first, by the monotonic clock, which all processes share.
        repeated: requests with a message that had come before.
        hung: requests that were not answered.
    """

    moments: dict[str, float]
    repeated: int
    hung: int

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return max(self.moments.values()) - min(self.moments.values())

    @property
    def rate(self) -> float:
        """Messages a second, from the first to the last."""
        return (len(self.moments) - 1) / self.seconds


class Receiver(Companion):
    """The process.

    Attributes:
        port: where it listens, at 127.0.0.1.
    """

    def __init__(self) -> None:
        super().__init__(receive)
        self.port: int = self.hear(START_SECONDS)

    def arrived(self, messages: int, seconds: float) -> Arrived:
        """Wait for so many different messages since the last call; returns what came if the time is over before."""
        self.tell(Expect(messages, seconds))
        came: Arrived = self.hear(seconds + TELL_SECONDS)
        return came


def receive(pipe: Connection) -> None:
    """A companion's work: tell the port; for each `Expect` told, tell what has `Arrived`; end when told."""
    uvloop.run(_receive(pipe))


async def _receive(pipe: Connection) -> None:
    books = _Books()
    server = await asyncio.get_running_loop().create_server(lambda: _Requests(books), "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    while (wanted := await asyncio.to_thread(_next, pipe)) is not None:
        pipe.send(await books.arrived(wanted))
    server.close()


def _next(pipe: Connection) -> Expect | None:
    try:
        wanted: Expect = pipe.recv()
    except EOFError:
        return None
    return wanted


class _Books:
    """What came since it was asked for last."""

    def __init__(self) -> None:
        self._wanted = 0
        self._is_complete = asyncio.Event()
        self._moments: dict[bytes, float] = {}
        self._repeated = 0
        self._hung = 0

    async def arrived(self, wanted: Expect) -> Arrived:
        self._wanted = wanted.messages
        self._is_complete.clear()
        if len(self._moments) < self._wanted:
            with suppress(TimeoutError):
                async with asyncio.timeout(wanted.seconds):
                    await self._is_complete.wait()
        moments = {message_id.decode(): moment for message_id, moment in self._moments.items()}
        arrived = Arrived(moments, self._repeated, self._hung)
        self._moments = {}
        self._repeated = self._hung = 0
        return arrived

    def note(self, message_id: bytes) -> None:
        if message_id in self._moments:
            self._repeated += 1
            return
        self._moments[message_id] = monotonic()
        if len(self._moments) == self._wanted:
            self._is_complete.set()

    def note_hanging(self) -> None:
        self._hung += 1


class _Requests(asyncio.Protocol):
    """One connection."""

    def __init__(self, books: _Books) -> None:
        self._books = books
        self._buffer = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        head_end = data.find(_HEAD_END)
        while head_end >= 0:
            end = head_end + len(_HEAD_END) + int(_value(data, _LENGTH, head_end))
            if len(data) < end:
                break
            self._take(data, head_end)
            data = data[end:]
            head_end = data.find(_HEAD_END)
        self._buffer = data

    def _take(self, request: bytes, head_end: int) -> None:
        if request.startswith(_HANGING_REQUEST):
            self._books.note_hanging()
        else:
            self._books.note(_value(request, _ID, head_end))
            self._transport.write(_ANSWER)


def _value(request: bytes, name: bytes, head_end: int) -> bytes:
    """The value of a header.

    Raises:
        ValueError: the request does not have it in this spelling.
    """
    start = request.index(name, 0, head_end) + len(name)
    return request[start : request.index(b"\r", start)]
