"""Bodies too large to be held: read piece by piece as they come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from orchestrator.errors import BadRequest, TooLarge, UnsupportedMedia

IDLE_SECONDS = 60.0
"""How long nothing may come."""

LONGEST_SECONDS = 3600.0
"""How long all of it may take to come."""

_PIECE_BYTES: Final = 256 * 1024


def check(request: web.Request, limit: int) -> None:
    """Refuse what can be refused unread.

    Raises:
        TooLarge: it says that it has more than `limit` bytes.
        UnsupportedMedia: it is a form or compressed, so that its bytes are not the file's.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content_type.startswith("multipart/"):
        raise UnsupportedMedia("Send the file itself as the body, not a form (curl: --data-binary @FILE)")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the file as it is, without a Content-Encoding")


async def pieces(request: web.Request, limit: int) -> AsyncIterator[bytes]:
    """A body in pieces of some size, as it comes.

    Raises:
        TooLarge: it has more than `limit` bytes.
        BadRequest: it stopped coming, came too slowly, or its connection was lost.
    """
    loop = asyncio.get_running_loop()
    last, size, gathered = loop.time() + LONGEST_SECONDS, 0, bytearray()
    while True:
        try:
            # Within one step: whoever iterates may take each step in another task.
            async with asyncio.timeout(min(IDLE_SECONDS, last - loop.time())):
                chunk = await request.content.readany()
        except TimeoutError:
            raise BadRequest(
                f"The body stopped coming for {IDLE_SECONDS:g} seconds, or took over {LONGEST_SECONDS:g}"
            ) from None
        except (web.RequestPayloadError, ConnectionError):
            raise BadRequest("The body broke off") from None
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        gathered += chunk
        if gathered and (len(gathered) >= _PIECE_BYTES or not chunk):
            yield bytes(gathered)
            gathered.clear()
        if not chunk:
            return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The file is larger than {limit} bytes, the most this server takes")
