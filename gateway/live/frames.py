"""Frames of the live protocol: made once, encoded once for each transport, and shared by all readers that get them."""

import struct
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from gateway.wire.executions import printed
from gateway.wire.listings import duration
from orchestrator.executions import payloads
from orchestrator.executions.model import Execution, ExecutionStatus, TestStatus
from storage.bus import EventNews
from storage.executions import EventRecord, TestRecord
from storage.live import TestFrame

_TEXT_FRAME = 0x81  # FIN, opcode 1 (RFC 6455, 5.2)
_SHORT = 126
_MEDIUM = 1 << 16


class Kind(StrEnum):
    """What a frame holds."""

    SNAPSHOT = "snapshot"
    EVENT = "event"
    TESTS = "tests"


class Frame:
    """One frame.

    Attributes:
        execution_id: whose it is.
        kind: what it holds.
        number: its `seq`, or its `n` where it holds tests.
        text: the JSON.
        status: of the execution after it; None where it is the same as before.
    """

    __slots__ = ("_event_stream", "_websocket", "execution_id", "kind", "number", "status", "text")

    def __init__(
        self, execution_id: str, kind: Kind, number: int, text: bytes, status: ExecutionStatus | None = None
    ) -> None:
        self.execution_id = execution_id
        self.kind = kind
        self.number = number
        self.text = text
        self.status = status
        self._websocket: bytes | None = None
        self._event_stream: bytes | None = None

    @property
    def websocket(self) -> bytes:
        """A whole websocket message: a server's frames are not masked, so they are the same for every reader."""
        if self._websocket is None:
            self._websocket = _header(len(self.text)) + self.text
        return self._websocket

    @property
    def event_stream(self) -> bytes:
        """The `data` lines of a server-sent event; JSON text may have line breaks where a client sent some."""
        if self._event_stream is None:
            self._event_stream = b"".join(b"data: %b\n" % line for line in self.text.splitlines())
        return self._event_stream


def _header(length: int) -> bytes:
    if length < _SHORT:
        return struct.pack("!BB", _TEXT_FRAME, length)
    if length < _MEDIUM:
        return struct.pack("!BBH", _TEXT_FRAME, _SHORT, length)
    return struct.pack("!BBQ", _TEXT_FRAME, _SHORT + 1, length)


def of_news(news: EventNews) -> Frame:
    """An event as its owner made it."""
    return Frame(news.execution_id, Kind.EVENT, news.seq, news.frame, ExecutionStatus(news.status))


_STATUS_AFTER = {
    "execution.created": ExecutionStatus.CREATED,
    "execution.started": ExecutionStatus.RUNNING,
    "execution.completed": ExecutionStatus.COMPLETED,
    "execution.failed": ExecutionStatus.FAILED,
    "execution.cancelled": ExecutionStatus.CANCELLED,
}


def of_log(execution_id: str, event: EventRecord) -> Frame:
    """An event from the log: the same bytes as its owner made."""
    text = payloads.frame(execution_id, event.seq, event.name, event.at, event.data)
    return Frame(execution_id, Kind.EVENT, event.seq, text, _STATUS_AFTER.get(event.name))


def of_execution(execution: Execution) -> Frame:
    """A snapshot."""
    text = b'{"type":"snapshot","seq":%d,"execution":%b}' % (execution.seq, _encoder.encode(printed(execution)))
    return Frame(execution.execution_id, Kind.SNAPSHOT, execution.seq, text, execution.status)


class _Test(msgspec.Struct, frozen=True):
    title: str
    file: str | None
    status: TestStatus
    duration: float | None
    error: str | None
    retries: int | None
    tags: tuple[str, ...]
    ordinal: int


class _Tests(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    n: int
    shard_id: str
    tests: Sequence[_Test]


_encoder = msgspec.json.Encoder()


def of_tests(execution_id: str, frame: TestFrame) -> Frame:
    """Single test results."""
    body = _Tests(Kind.TESTS, frame.number, frame.shard_id, [_test(record) for record in frame.tests])
    return Frame(execution_id, Kind.TESTS, frame.number, _encoder.encode(body))


def _test(record: TestRecord) -> _Test:
    return _Test(
        title=record.title,
        file=record.file,
        status=record.status,
        duration=duration(record.duration_ms),
        error=record.error,
        retries=record.retries,
        tags=record.tags,
        ordinal=record.ordinal,
    )
