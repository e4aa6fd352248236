"""An endpoint for webhooks, as a user would run one: a real HTTP server that keeps all it gets and answers as told."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook

from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class Arrival:
    """One request.

    Attributes:
        at: monotonic seconds when its head had come.
        path: such as "/first".
        headers: with the names as they were sent.
        body: the exact bytes.
    """

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def message_id(self) -> str:
        """What tells repetitions from news."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body as the published library gives it.

        Raises:
            WebhookVerificationError: it was not signed with this secret.
        """
        key = secret if secret.startswith("whsec_") else secret.encode()
        return Webhook(key).verify(self.body, self.headers)


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


RESET = Reply(status=0)
"""Stands for no answer at all: the connection is reset."""

Script = Callable[[Arrival], Awaitable[Reply]]

# What is left to scripts that take their time, when it stops.
_LAST_SECONDS = 0.05


class Receiver:
    """An endpoint at 127.0.0.1, entered with `async with`; every path of it is one of its own.

    Attributes:
        arrivals: all requests so far, in order.
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._scripts: dict[str, Script] = {}
        self._news = asyncio.Event()
        self._port = 0
        self._runner: web.ServerRunner | None = None

    def url(self, path: str = "/") -> str:
        """The URL of a path; the port stays the same when it stops and starts again."""
        return f"http://127.0.0.1:{self._port}{path}"

    def answer(self, path: str, *replies: int | Reply) -> None:
        """Answer requests to a path by turns, with the last of these for ever; 200 where nothing is said."""
        left = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]

        async def next_one(_: Arrival) -> Reply:
            return left.pop(0) if len(left) > 1 else left[0]

        self.follow(path, next_one)

    def follow(self, path: str, script: Script) -> None:
        """Answer requests to a path as the script does, which may take its time."""
        self._scripts[path] = script

    def at(self, path: str) -> list[Arrival]:
        """The requests to a path so far."""
        return [arrival for arrival in self.arrivals if arrival.path == path]

    async def got(self, path: str, number: int = 1, seconds: float = PATIENCE_SECONDS) -> list[Arrival]:
        """Wait until a path has got so many requests; returns all it got."""
        async with asyncio.timeout(seconds):
            while len(self.at(path)) < number:
                self._news.clear()
                await self._news.wait()
        return self.at(path)

    async def start(self) -> Self:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._receive), shutdown_timeout=_LAST_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Refuse connections from now on, and break those there are."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _receive(self, request: web.BaseRequest) -> web.Response:
        at = monotonic()
        headers = {name.decode(): value.decode() for name, value in request.raw_headers}
        arrival = Arrival(at, request.path, headers, await request.read())
        self.arrivals.append(arrival)
        self._news.set()
        script = self._scripts.get(arrival.path)
        reply = Reply() if script is None else await script(arrival)
        if reply is RESET:
            _reset(request)
            return web.Response()  # never sent
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:  # the sender may be gone by now
        at_once = struct.pack("ii", 1, 0)  # a linger of no seconds makes it a reset instead of an orderly end
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        transport.abort()
