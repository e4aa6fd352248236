"""Reads request bodies, compressed or not, up to a limit."""

import asyncio
import zlib

from aiohttp import web

from orchestrator.errors import BadRequest, TooLarge, UnsupportedMedia

READ_SECONDS = 120.0
"""How long a body may take to come."""

_FORMS = ("multipart/", "application/x-www-form-urlencoded")
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
# zlib: take a gzip or a zlib header, whichever there is.
_ANY_HEADER = zlib.MAX_WBITS | 32
_NO_HEADER = -zlib.MAX_WBITS
# Larger ones are inflated on a thread, so that others need not wait.
_LARGE = 64 * 1024


async def read(request: web.Request, limit: int) -> bytes:
    """The body, decompressed.

    Raises:
        TooLarge: it has more than `limit` bytes, before or after decompression.
        UnsupportedMedia: it is a form, or compressed in an unknown way.
        BadRequest: it is not compressed as it says.
    """
    if request.headers.get("Content-Type", "").lower().startswith(_FORMS):
        raise UnsupportedMedia("Send JSON, with Content-Type: application/json")
    return await whole(request, limit)


async def whole(request: web.Request, limit: int) -> bytes:
    """The body of whatever type, decompressed.

    Raises:
        TooLarge: it has more than `limit` bytes, before or after decompression.
        UnsupportedMedia: it is compressed in an unknown way.
        BadRequest: it is not compressed as it says.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content.is_eof():  # it came with its head, as most do: there is nothing to wait for
        raw = request.content.read_nowait()
    else:
        raw = await _wait(request, limit)
    if len(raw) > limit:
        raise _too_large(limit)
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return raw
    if encoding not in _ENCODINGS:
        raise UnsupportedMedia("Send Content-Encoding: gzip or deflate, or none")
    if len(raw) > _LARGE:
        return await asyncio.to_thread(inflate, raw, limit)
    return inflate(raw, limit)


async def _wait(request: web.Request, limit: int) -> bytes:
    """The body as it was sent, once all of it has come."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise BadRequest(f"The body did not come within {READ_SECONDS:g} seconds") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None


def inflate(raw: bytes, limit: int) -> bytes:
    """Decompress gzip (of several members too), zlib or raw deflate; stops where there is more than the limit.

    Raises:
        TooLarge: there is more than `limit` bytes in it.
        BadRequest: it is none of these, or cut off.
    """
    try:
        return _inflate(raw, limit, _ANY_HEADER)
    except zlib.error:
        try:
            return _inflate(raw, limit, _NO_HEADER)
        except zlib.error:
            raise BadRequest("The body is not compressed as its Content-Encoding says") from None


def _inflate(raw: bytes, limit: int, window: int) -> bytes:
    parts: list[bytes] = []
    room = limit + 1
    while raw:
        member = zlib.decompressobj(window)
        parts.append(member.decompress(raw, room))
        room -= len(parts[-1])
        if room <= 0:
            raise _too_large(limit)
        if not member.eof:
            raise BadRequest("The compressed body is cut off")
        raw = member.unused_data
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, the most this server takes")
