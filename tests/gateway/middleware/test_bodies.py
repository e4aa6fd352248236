import asyncio
import gzip
import zlib
from unittest.mock import Mock

import pytest
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request

from gateway.middleware import bodies
from gateway.middleware.bodies import inflate
from orchestrator.errors import BadRequest, TooLarge

TEXT = b'{"a": "' + b"x" * 1000 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    "compressed",
    [gzip.compress(TEXT), zlib.compress(TEXT), raw_deflate(TEXT), gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])],
    ids=["gzip", "zlib", "deflate", "two members"],
)
def test_each_form_of_compression_is_read(compressed: bytes) -> None:
    assert inflate(compressed, len(TEXT)) == TEXT


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_more_than_the_limit_is_not_inflated(compress: object) -> None:
    assert callable(compress)
    with pytest.raises(TooLarge):
        inflate(compress(TEXT), len(TEXT) - 1)


def test_a_bomb_of_many_members_is_stopped() -> None:
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"\0" * 10_000_000) * 10, 1_000_000)


@pytest.mark.parametrize("junk", [b"no gzip at all", gzip.compress(TEXT)[:-9], gzip.compress(TEXT) + b"junk"])
def test_what_is_not_compressed_as_it_says_is_a_bad_request(junk: bytes) -> None:
    with pytest.raises(BadRequest):
        inflate(junk, 10_000)


def payload(first: bytes) -> StreamReader:
    """A body without a length, of which this much has come."""
    coming = StreamReader(Mock(), limit=1024, loop=asyncio.get_running_loop())
    coming.feed_data(first)
    return coming


def end(coming: StreamReader, rest: bytes = b"") -> None:
    coming.feed_data(rest)
    coming.feed_eof()


async def read(coming: StreamReader, limit: int) -> bytes:
    return await bodies.read(make_mocked_request("POST", "/api/results", payload=coming, client_max_size=limit), limit)


async def test_a_body_comes_with_its_head_or_later() -> None:
    here, later = payload(b"{}"), payload(b"{")
    end(here)
    asyncio.get_running_loop().call_soon(end, later, b"}")

    assert [await read(here, 2), await read(later, 2)] == [b"{}", b"{}"]


async def test_a_body_without_a_length_is_limited_too() -> None:
    here, later = payload(b"{}"), payload(b"{")
    end(here)
    asyncio.get_running_loop().call_soon(end, later, b"}")

    for body in (here, later):
        with pytest.raises(TooLarge):
            await read(body, 1)


async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.01)

    with pytest.raises(BadRequest, match="did not come"):
        await read(payload(b"{"), 1024)
