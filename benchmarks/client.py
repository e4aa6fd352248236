"""Just enough of an HTTP/1.1 client, cheap enough to leave the machine to the server."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import uvloop

CREATED = 201
OK = 200
CONNECTIONS = 64
WEEK_MS = 7 * 24 * 3600 * 1000

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"Content-Length: "


class LoadFailed(Exception):
    """The server refused or dropped what it should have taken."""


class Address(msgspec.Struct, frozen=True):
    """Where to send to, and as whom."""

    host: str
    port: int
    token: str

    def head(self, method: str, path: str) -> bytes:
        """The start of a request, up to the headers that tell of its body."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
        ).encode()

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A whole request."""
        return with_body(self.head(method, path), body)


def with_body(head: bytes, body: bytes) -> bytes:
    """A request of a head and a JSON body."""
    return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


class Client(asyncio.Protocol):
    """One keep-alive connection, one request at a time, to a server that answers with `Content-Length`.

    Args:
        answered: called with status and body of each answer.
        lost: called when the server closes the connection.
    """

    def __init__(self, answered: Callable[[int, bytes], None], lost: Callable[[], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._is_closing = False
        self._transport: asyncio.WriteTransport

    async def connect(self, address: Address) -> None:
        """Open the connection."""
        await asyncio.get_running_loop().create_connection(lambda: self, address.host, address.port)

    def send(self, request: bytes) -> None:
        """Send a request; the one before has to be answered."""
        self._transport.write(request)

    def close(self) -> None:
        """Close."""
        self._is_closing = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; mostly it is a whole one."""
        data = self._buffer + data
        head_end = data.find(_HEAD_END)
        if head_end >= 0:
            length = data.index(_LENGTH, 0, head_end) + len(_LENGTH)
            body = head_end + len(_HEAD_END)
            end = body + int(data[length : data.index(b"\r", length)])
            if len(data) >= end:
                self._buffer = b""
                self._answered(int(data[9:12]), data[body:end])
                return
        self._buffer = data

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """Tell that the server closed it."""
        if not self._is_closing:
            self._lost()


def send_all(address: Address, requests: Sequence[bytes], status: int, connections: int = CONNECTIONS) -> list[bytes]:
    """Send requests that all have to be answered with one status.

    Returns:
        The bodies of the answers, in the order of the requests.

    Raises:
        LoadFailed: one was answered with another status, or the server closed a connection.
    """
    return uvloop.run(_send_all(address, requests, status, connections))


async def _send_all(address: Address, requests: Sequence[bytes], status: int, connections: int) -> list[bytes]:
    waiting = iter(enumerate(requests))
    answers = [b""] * len(requests)

    async def work() -> None:
        answer: asyncio.Future[tuple[int, bytes]]
        client = Client(
            lambda *got: answer.set_result(got), lambda: answer.set_exception(LoadFailed("closed by server"))
        )
        await client.connect(address)
        for index, request in waiting:
            answer = asyncio.get_running_loop().create_future()
            client.send(request)
            got, answers[index] = await answer
            if got != status:
                raise LoadFailed(f"answered {got} instead of {status}: {answers[index].decode()}")
        client.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(connections, len(requests))):
            group.create_task(work())
    return answers


def create_executions(address: Address, amount: int, shards: int) -> list[str]:
    """Make executions that have a week to run; returns their ids."""
    wanted = {
        "testSuite": "regression",
        "environment": "staging",
        "provider": "github-actions",
        "configuration": {"shards": shards, "timeout": WEEK_MS, "browsers": ["chromium"]},
        "metadata": {"branch": "main", "commit": "0f3b1c2d", "author": "a.developer", "buildNumber": "4711"},
    }
    request = address.request("POST", "/api/executions", msgspec.json.encode(wanted))
    answers = send_all(address, [request] * amount, CREATED)
    return [msgspec.json.decode(answer)["executionId"] for answer in answers]


def cancel_executions(address: Address, execution_ids: Sequence[str]) -> None:
    """Call executions off."""
    paths = (f"/api/executions/{execution_id}" for execution_id in execution_ids)
    send_all(address, [address.request("DELETE", path) for path in paths], OK)
