"""Output on its way into the database."""

import asyncio

import pytest

from actors import shard_output
from actors.shard_output import CUT, ShardOutput


class Kept:
    """What was handed on."""

    def __init__(self, start: int = 0) -> None:
        self.text = ""
        self._next = start
        self.output = ShardOutput(start, self.store)

    async def store(self, start: int, text: str) -> None:
        assert start == self._next, "pieces follow one another"
        self.text += text
        self._next += len(text.encode())


def source(*chunks: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return reader


async def test_characters_stay_whole_and_what_is_no_text_is_marked() -> None:
    kept = Kept(start=7)
    await kept.output.say("begins")
    await kept.output.follow(source("größe\n".encode(), b"\xff\0x\n", "ö".encode()[:1]))
    assert kept.text == "tms: begins\ngröße\n\ufffd\ufffdx\n\ufffd"


async def test_output_is_handed_on_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_output, "FLUSH_SECONDS", 0.01)
    kept, reader = Kept(), asyncio.StreamReader()
    following = asyncio.create_task(kept.output.follow(reader))
    reader.feed_data(b"first\n")
    async with asyncio.timeout(10):
        while kept.text != "first\n":  # noqa: ASYNC110 - the time limit that is tested gives no event
            await asyncio.sleep(0.001)
    reader.feed_eof()
    await following


async def test_only_so_much_is_kept_and_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_output, "OUTPUT_BYTES", 101)
    kept = Kept()
    await kept.output.follow(source("ö".encode() * 200, b"more"))
    await kept.output.say("ends")
    assert kept.text == "ö" * 50 + CUT


async def test_the_limit_holds_over_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_output, "OUTPUT_BYTES", 100)
    kept = Kept(start=100)
    await kept.output.follow(source(b"more"))
    assert kept.text == ""
