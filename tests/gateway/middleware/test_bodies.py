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


async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.01)
    payload = StreamReader(Mock(), limit=1024, loop=asyncio.get_running_loop())
    payload.feed_data(b"{")

    with pytest.raises(BadRequest, match="did not come"):
        await bodies.read(make_mocked_request("POST", "/api/results", payload=payload), 1024)
