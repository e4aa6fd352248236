"""The output of a shard on its way into the database: in small pieces, a few a second, up to a limit."""

import codecs
from asyncio import StreamReader, timeout
from collections.abc import Awaitable, Callable
from time import monotonic

from orchestrator.jobs.model import OUTPUT_BYTES, OUTPUT_PIECE_BYTES

FLUSH_SECONDS = 0.5
CUT = "\ntms: the output is longer than what is kept of it; the rest is left out\n"

Store = Callable[[int, str], Awaitable[None]]
"""Keeps a text that begins after so many bytes."""


class ShardOutput:
    """Gathers output and hands it on.

    Args:
        start: bytes that former attempts wrote.
        store: keeps a piece; may take its time, then the command waits with its output.
    """

    def __init__(self, start: int, store: Store) -> None:
        self._start = start
        self._store = store
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._is_cut = start >= OUTPUT_BYTES

    async def follow(self, source: StreamReader) -> None:
        """Take all that comes, until it ends."""
        is_open = True
        while is_open:
            due = monotonic() + FLUSH_SECONDS
            while len(self._waiting) < OUTPUT_PIECE_BYTES // 4:
                try:
                    async with timeout(due - monotonic()):
                        chunk = await source.read(OUTPUT_PIECE_BYTES // 4)
                except TimeoutError:
                    break
                is_open = bool(chunk)
                self._waiting += self._decoder.decode(chunk, final=not chunk)
                if not is_open:
                    break
            await self.flush()

    async def say(self, line: str) -> None:
        """A line of our own."""
        self._waiting += f"tms: {line}\n"
        await self.flush()

    async def flush(self) -> None:
        """Hand on what has gathered."""
        text, self._waiting = self._waiting.replace("\0", "\ufffd"), ""
        if not text or self._is_cut:
            return
        content = text.encode()
        room = OUTPUT_BYTES - self._start
        if len(content) > room:
            self._is_cut = True
            text = content[:room].decode(errors="ignore") + CUT
        await self._store(self._start, text)
        self._start += len(text.encode())
