"""Where a reader's frames are written: a websocket or a stream of server-sent events."""

import socket
from typing import Protocol

from aiohttp import WSMsgType, web

from gateway.live.frames import Frame, Kind

ROOM_BYTES = 64 * 1024
"""What may wait in a websocket's transport before frames wait in the reader's own queue."""

PING_SECONDS = 20.0
_KERNEL_BYTES = 64 * 1024


class Sink(Protocol):
    """One connection."""

    @property
    def ping_seconds(self) -> float | None:
        """How long it may be quiet before `ping`; None where the framework sees to that."""

    def write(self, frame: Frame) -> bool:
        """Write at once if there is room for it; False if there is not. Never raises."""

    async def send(self, frame: Frame) -> None:
        """Write, and wait until there is room again.

        Raises:
            ConnectionError: the reader is gone.
        """

    async def ping(self) -> None:
        """Prove that it is alive.

        Raises:
            ConnectionError: the reader is gone.
        """


class WebSocketSink:
    """A websocket without compression, so that a message is the same bytes for every reader.

    While its transport has room, whole messages are written to it directly: that costs the process half of what a task
    of its own for each reader does. aiohttp's writer sends nothing but whole messages itself, so the two mix well.
    """

    ping_seconds = None  # aiohttp sends pings

    def __init__(self, request: web.Request, websocket: web.WebSocketResponse) -> None:
        if request.transport is None:
            raise ConnectionResetError("the reader has left already")
        self._transport = request.transport
        self._websocket = websocket
        _limit_kernel_buffer(request)

    def write(self, frame: Frame) -> bool:
        """Write the finished message, unless the reader does not keep up or is gone."""
        transport = self._transport
        if transport.is_closing() or transport.get_write_buffer_size() > ROOM_BYTES:
            return False
        transport.write(frame.websocket)
        return True

    async def send(self, frame: Frame) -> None:
        """Write through aiohttp, which waits while the transport is full."""
        await self._websocket.send_frame(frame.text, WSMsgType.TEXT)

    async def ping(self) -> None:
        """Send a ping."""
        await self._websocket.ping()


class EventStreamSink:
    """Server-sent events. `id` is the number of the last event, where there is one count of them."""

    ping_seconds = PING_SECONDS

    def __init__(self, request: web.Request, response: web.StreamResponse, *, has_ids: bool) -> None:
        self._response = response
        self._has_ids = has_ids
        _limit_kernel_buffer(request)

    def write(self, frame: Frame) -> bool:  # noqa: ARG002 - as the websocket's
        """Nothing is written past aiohttp, which divides the body into chunks."""
        return False

    async def send(self, frame: Frame) -> None:
        """Write one event."""
        number = b"id: %d\n" % frame.number if self._has_ids and frame.kind is not Kind.TESTS else b""
        await self._response.write(number + frame.event_stream + b"\n")

    async def ping(self) -> None:
        """Write a comment, which readers ignore."""
        await self._response.write(b": ping\n\n")


def _limit_kernel_buffer(request: web.Request) -> None:
    """Keep the system from taking megabytes for a reader that does not read, as it would by itself."""
    connection = request.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
