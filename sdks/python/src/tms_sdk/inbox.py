"""What pytest processes tell their runner, from however many connections, in one queue."""

import json
import queue
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any

from tms_sdk.channel import Channel, Closed

Line = dict[str, Any]

GONE: Line = {"gone": True}
NUDGE: Line = {"nudge": True}


def turn_away(channel: Channel, line: Line, reason: str) -> None:
    """Answer a line of a pytest for which nothing can be done, if it waits for an answer."""
    if not line.keys().isdisjoint({"want", "select"}) or line.get("manifest", {}).get("ahead"):
        channel.send({"refused": reason})
    elif "finish" in line:
        channel.send({"end": line["finish"]["code"]})


class _JournalReader:
    """The reading end of `tms_sdk.channel.Journal`."""

    def __init__(self, path: Path) -> None:
        # Until `close`; without a buffer, which would go on showing zeros.
        self._file = path.open("rb", buffering=0)
        self._at = 0
        self._rest = b""

    def read(self) -> list[Line]:
        """Return the lines that are new."""
        # Each byte is written once, and in any order: what stands before the first zero is as it will be.
        self._file.seek(self._at)
        piece, _, _ = self._file.read().partition(b"\0")
        self._at += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        told: list[Line] = json.loads(b"[" + b",".join(lines) + b"]")
        return told

    def close(self) -> None:
        """Read no more."""
        self._file.close()


class Inbox:
    """Lines as they come; each with the channel to answer on.

    A thread a connection takes them from the socket at once, so that pytest never waits for the server with them.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._lines: queue.SimpleQueue[tuple[Channel, Line]] = queue.SimpleQueue()
        self._ready: deque[tuple[Channel, Line]] = deque()
        self._pytest: Channel | None = None
        self._journal: _JournalReader | None = None
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    def get(self, seconds: float) -> tuple[Channel, Line] | None:
        """Wait at most so long for a line. What the journal has comes before what was sent after it."""
        if not self._ready:
            try:
                arrived = self._lines.get(timeout=max(0.0, seconds))
            except queue.Empty:
                arrived = None
            self._read_journal()
            if arrived is not None:
                self._open_journal(*arrived)
                self._ready.append(arrived)
        return self._ready.popleft() if self._ready else None

    def _open_journal(self, channel: Channel, line: Line) -> None:
        match line:
            case {"hello": {"journal": str(path)}}:
                self.close()
                self._pytest, self._journal = channel, _JournalReader(Path(path))

    def _read_journal(self) -> None:
        if self._journal is not None and self._pytest is not None:
            self._ready.extend((self._pytest, line) for line in self._journal.read())

    def refuse(self, reason: str) -> None:
        """Answer whoever asks with why nothing can be done, until pytest is gone."""
        pytest = None
        while True:
            channel, line = self._lines.get()
            turn_away(channel, line, reason)
            if "hello" in line:
                pytest = channel
            elif "gone" in line and channel is pytest:
                return

    def nudge(self) -> None:
        """Put a line of our own into the queue: there may be something new. Any thread may call it."""
        if self._pytest is not None:
            self._lines.put((self._pytest, NUDGE))

    def close(self) -> None:
        """Read no more."""
        if self._journal is not None:
            self._journal.close()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(Channel(connected),), daemon=True).start()

    def _read(self, channel: Channel) -> None:
        try:
            while True:
                self._lines.put((channel, channel.receive()))
        except (Closed, json.JSONDecodeError):  # a line that a dying process did not end
            channel.close()
            self._lines.put((channel, GONE))
