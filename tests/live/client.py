"""A client of a live server: what happens to executions, and readers of both transports."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.uri import parse_uri

Json = dict[str, Any]


class Client:
    """Speaks to one server with one token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self.token = token
        self._session = session

    def at(self, url: str | None = None, token: str | None = None) -> "Client":
        """The same, at another server or with another token."""
        return Client(self._session, url or self.url, token or self.token)

    async def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, Any]:
        """One request; status and decoded answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(method, url, json=body, headers=self.headers | named) as answer:
            return answer.status, await answer.json()

    async def create(self, shards: int = 2, **fields: Any) -> Json:
        """A new execution, as its creation answered."""
        body = {"testSuite": "smoke", "environment": "staging", "provider": "tests"} | fields
        status, created = await self.ask("POST", "/api/executions", body | {"configuration": {"shards": shards}})
        assert status == 201, created
        return dict(created)

    async def submit(self, execution: Json, shard: int = 1, tests: Sequence[Json] = (), **fields: Any) -> None:
        """Results of a shard."""
        body = {"executionId": execution["executionId"], "shardId": str(shard), "status": "completed"}
        status, answer = await self.ask("POST", "/api/results", body | {"tests": list(tests)} | fields)
        assert status == 201, answer

    async def progress(self, execution: Json, **data: Any) -> None:
        """A sign of life, of any size."""
        body = {
            "event": "execution.progress",
            "timestamp": datetime.now(UTC).isoformat(),
            "executionId": execution["executionId"],
            "data": data,
        }
        runner = self.at(token=execution["webhookToken"])
        status, answer = await runner.ask("POST", execution["webhookUrl"], body)
        assert status == 200, answer

    def watch(self, execution: Json | str, query: str = "", **options: Any) -> "connect":
        """The websocket of one execution."""
        execution_id = execution if isinstance(execution, str) else execution["executionId"]
        return self.websocket(f"/api/executions/{execution_id}/live{query}", **options)

    def websocket(self, path: str, **options: Any) -> "connect":
        """A websocket; the token goes into the header unless there are subprotocols."""
        if "subprotocols" not in options:
            options.setdefault("additional_headers", self.headers)
        return connect(self.url.replace("http", "ws", 1) + path, max_size=None, **options)

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator["EventStream"]:
        """A stream of server-sent events, or its refusal."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        accept = {"Accept": "text/event-stream"}
        async with self._session.get(self.url + path, headers=self.headers | accept | named) as answer:
            yield EventStream(answer)


class EventStream:
    """Server-sent events as a browser takes them apart."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str | None, Json] | None:
        """The `id` and the decoded data of the next event; None at the end."""
        number: str | None = None
        data: list[str] = []
        async for raw in self.answer.content:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if name == "id":
                number = value
            elif name == "data":
                data.append(value)
            elif not line and data:
                return number, json.loads("\n".join(data))
        return None


async def take(websocket: ClientConnection, frames: int) -> list[Json]:
    """The next frames."""
    return [json.loads(await websocket.recv()) for _ in range(frames)]


async def take_until(websocket: ClientConnection, event: str) -> list[Json]:
    """The next frames up to an event."""
    frames: list[Json] = []
    while not frames or frames[-1].get("event") != event:
        frames += await take(websocket, 1)
    return frames


async def closed_with(websocket: ClientConnection) -> tuple[int, str]:
    """The code and reason that the server closes with, whatever it sends before that."""
    with suppress(ConnectionClosed):
        async for _ in websocket:
            pass
    assert websocket.close_code is not None
    return websocket.close_code, websocket.close_reason or ""


def names(frames: Sequence[Json]) -> list[str]:
    """What each frame is: the event's name, or the frame's type."""
    return [str(frame.get("event", frame["type"])) for frame in frames]


def results(number: int) -> list[Json]:
    """So many test results."""
    return [{"title": f"test {index}", "status": "passed", "duration": index} for index in range(1, number + 1)]


def narrow_socket(url: str) -> socket.socket:
    """A connection that takes in little while nobody reads from it."""
    host, _, port = url.removeprefix("http://").partition(":")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    narrow.connect((host, int(port)))
    return narrow


class RawReader:
    """A websocket that answers nothing, and of which single bytes can be left unread.

    Attributes:
        raw: all bytes read.
        protocol: what they mean.
    """

    def __init__(self, url: str, path: str) -> None:
        self.raw = bytearray()
        self.protocol = ClientProtocol(parse_uri(url.replace("http", "ws", 1) + path), max_size=None)
        self._connection = narrow_socket(url)
        self._connection.settimeout(0)

    @classmethod
    async def connected(cls, client: Client, path: str) -> Self:
        """Connect, and read no more than the answer to the handshake."""
        reader = cls(client.url, path)
        request = reader.protocol.connect()
        request.headers.update(client.headers)
        reader.protocol.send_request(request)
        for data in reader.protocol.data_to_send():
            await asyncio.get_running_loop().sock_sendall(reader._connection, data)
        await reader.read()
        return reader

    async def read(self) -> bool:
        """Read a little; False at the end."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._connection, 4096)
        except ConnectionResetError:
            return False
        self.raw += data
        if data:
            self.protocol.receive_data(data)
        return bool(data)

    def close(self) -> None:
        """Leave without a word."""
        self._connection.close()
