"""Websocket readers, hundreds in one process: they note which event came when, and whether any is missing."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import monotonic
from typing import cast

import uvloop

from benchmarks.client import Address, LoadFailed
from benchmarks.companions import told

CONNECT_SECONDS = 60.0
TELL_SECONDS = 60.0

HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_HEAD_END = b"\r\n\r\n"
_SWITCHING = b"HTTP/1.1 101 "
_TEXT, _CLOSE, _PING = 1, 8, 9
_EMPTY_PONG = b"\x8a\x80\x00\x00\x00\x00"  # masked, as a client's frames have to be (RFC 6455, 5.3)
_EVENT = b'{"type":"event","seq":'
_TOTAL = b'"total":'


@dataclass
class Seen:
    """What all readers of a process saw.

    Attributes:
        numbers: the number of each event that has one.
        moments: when each of these came, by the monotonic clock.
        gaps: how often the `seq` of a reader's event did not follow on the one before.
        closed: how many readers the server closed.
        example: the last such event.
    """

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    moments: "array[float]" = field(default_factory=lambda: array("d"))
    gaps: int = 0
    closed: int = 0
    example: bytes = b""


def read(pipe: Connection, address: Address, paths: Sequence[str]) -> None:
    """A companion's work: open a websocket on each path, tell when all are open, and what they saw when told to."""
    uvloop.run(_read(pipe, address, paths))


async def _read(pipe: Connection, address: Address, paths: Sequence[str]) -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    for path in paths:
        reader = _Reader(seen)
        await loop.create_connection(lambda reader=reader: reader, address.host, address.port)  # type: ignore[misc] # a default
        async with asyncio.timeout(CONNECT_SECONDS):
            await reader.open(address.head("GET", path) + HANDSHAKE)
    pipe.send("open")
    if await told(pipe):
        pipe.send(seen)


class _Reader(asyncio.Protocol):
    """One websocket; the frames of a server are not masked, and ours do not come in fragments."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = b""
        self._seq = 0
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport

    async def open(self, handshake: bytes) -> None:
        """Shake hands.

        Raises:
            LoadFailed: the server does not want to.
        """
        self._transport.write(handshake)
        await self._opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """Count it."""
        self._seen.closed += 1
        if not self._opened.done():
            self._opened.set_exception(LoadFailed("closed by the server"))

    def data_received(self, data: bytes) -> None:
        """Take any part of any number of frames."""
        now = monotonic()
        data = self._buffer + data
        position = 0 if self._opened.done() else self._shake_hands(data)
        while self._opened.done() and (frame := _frame(data, position)) is not None:
            opcode, start, position = frame
            if opcode == _TEXT:
                self._note(data[start:position], now)
            elif opcode == _PING:
                self._transport.write(_EMPTY_PONG)
            elif opcode == _CLOSE:
                self._transport.close()
        self._buffer = data[position:]

    def _shake_hands(self, data: bytes) -> int:
        """Where the frames start, behind the answer to the handshake; 0 while that is not complete."""
        end = data.find(_HEAD_END)
        if end < 0:
            return 0
        if data.startswith(_SWITCHING):
            self._opened.set_result(None)
        else:
            self._opened.set_exception(LoadFailed(data.decode(errors="replace")))
        return end + len(_HEAD_END)

    def _note(self, text: bytes, now: float) -> None:
        if not text.startswith(_EVENT):
            return
        seq = int(text[len(_EVENT) : text.index(b",", len(_EVENT))])
        if self._seq and seq != self._seq + 1:
            self._seen.gaps += 1
        self._seq = seq
        number = number_of(text)
        if number is not None:
            self._seen.numbers.append(number)
            self._seen.moments.append(now)
            self._seen.example = text


def number_of(event: bytes) -> int | None:
    """The number that it was sent with: its last `total`; None if it has none."""
    start = event.rfind(_TOTAL) + len(_TOTAL)
    return None if start < len(_TOTAL) else int(event[start : event.index(b",", start)])


def _frame(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Opcode, start and end of the payload of the frame that starts here; None while it is not complete."""
    available = len(data) - position
    if available < 2:
        return None
    length, start = data[position + 1], position + 2
    if length == 126:
        length, start = int.from_bytes(data[start : start + 2]), start + 2
    elif length == 127:
        length, start = int.from_bytes(data[start : start + 8]), start + 8
    if len(data) < start + length:
        return None
    return data[position] & 0x0F, start, start + length
