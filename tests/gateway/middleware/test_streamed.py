"""Bodies that come piece by piece: as they are, up to a limit, and given up where they do not come."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.middleware import streamed
from orchestrator.errors import TMSError

LIMIT = 1_000_000


async def answer(request: web.Request) -> web.Response:
    try:
        streamed.check(request, LIMIT)
        lengths = [len(piece) async for piece in streamed.pieces(request, LIMIT)]
    except TMSError as error:
        return web.Response(text=error.code, status=400)
    return web.json_response(lengths)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_post("/", answer)
    running = TestServer(app)
    await running.start_server()
    yield running
    await running.close()


async def spoken(server: TestServer, head: str, body: bytes = b"") -> bytes:
    """What is answered to a body that is not all there, on a connection that stays open."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    status = await reader.readline()
    answered = await reader.readuntil(b"\r\n\r\n")
    length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    code = await reader.readexactly(length)
    writer.close()
    return status.split()[1] + b" " + code


async def test_small_chunks_come_together_as_pieces_of_some_size(server: TestServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(900):
            yield b"x" * 1000

    async with aiohttp.ClientSession() as session:
        async with session.post(server.make_url("/"), data=chunks()) as answered:
            lengths = await answered.json()
        async with session.post(server.make_url("/"), data=b"") as answered:
            assert await answered.json() == []
    assert sum(lengths) == 900_000
    assert len(lengths) < 10
    assert all(length >= 256 * 1024 for length in lengths[:-1])


async def test_what_goes_over_the_limit_is_not_read_on(server: TestServer) -> None:
    assert await spoken(server, f"Content-Length: {LIMIT + 1}") == b"400 PAYLOAD_TOO_LARGE"
    endless = b"%x\r\n" % (LIMIT + 1) + b"x" * (LIMIT + 1) + b"\r\n"
    assert await spoken(server, "Transfer-Encoding: chunked", endless) == b"400 PAYLOAD_TOO_LARGE"


async def test_a_body_that_stops_coming_is_given_up(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "IDLE_SECONDS", 0.01)
    assert await spoken(server, "Content-Length: 10", b"half") == b"400 BAD_REQUEST"


async def test_a_body_that_trickles_is_given_up(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "LONGEST_SECONDS", 0.01)
    assert await spoken(server, "Content-Length: 10", b"h") == b"400 BAD_REQUEST"


async def test_forms_and_compressed_bodies_are_refused(server: TestServer) -> None:
    for head in ("Content-Type: multipart/form-data; boundary=x", "Content-Encoding: gzip"):
        assert await spoken(server, f"{head}\r\nContent-Length: 10", b"0123456789") == b"400 UNSUPPORTED_MEDIA_TYPE"
