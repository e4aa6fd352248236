"""Pages of tests and events, and the cursors between pages of all lists."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from gateway.wire.executions import Cursor, SearchText
from gateway.wire.moments import PrintedMoment, is_in_range
from gateway.wire.reading import is_storable
from gateway.wire.results import Count
from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.executions.model import MAX_SHARDS, TestDetails, TestStatus
from orchestrator.history.model import test_id
from orchestrator.timestamps import to_text
from storage.executions import EventRecord, TestRecord, TestSort

ShardNumber = Annotated[int, Meta(ge=1, le=MAX_SHARDS)]
TestPageSize = Annotated[int, Meta(ge=1, le=1000)]
EventPageSize = Annotated[int, Meta(ge=1, le=1000)]
FileName = Annotated[str, Meta(max_length=1000)]
WholeTitle = Annotated[str, Meta(max_length=1000)]


class TestQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"search": "q"}):
    """Which tests to list; `attempts=all` lists those of replaced and late submissions too.

    `title` and `file` are whole, `q` is a part of the title. `sort=duration` lists the longest first.
    """

    shard: ShardNumber | None = None
    status: TestStatus | None = None
    flaky: bool | None = None
    title: WholeTitle | None = None
    file: FileName | None = None
    search: SearchText | None = None
    attempts: Literal["current", "all"] = "current"
    sort: TestSort = TestSort.REPORTED
    limit: TestPageSize = 100
    cursor: Cursor | None = None


class Test(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One test as it was reported. `attempt` counts its shard's submissions; null for one that came too late.

    `testId` is the same in every execution: `GET /api/tests/{testId}` tells of its other runs.
    """

    test_id: str
    title: str
    file: str | None
    status: TestStatus
    duration: float | None
    error: str | None
    retries: int | None
    tags: tuple[str, ...]
    details: TestDetails | None
    shard_id: str
    attempt: int | None
    submission_id: str
    ordinal: int


class TestPage(msgspec.Struct, frozen=True, rename="camel"):
    """Tests in the order asked for."""

    tests: list[Test]
    next_cursor: str | None


class EventQuery(msgspec.Struct, frozen=True):
    """Which events to list: those that follow number `after`."""

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: EventPageSize = 200


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of an execution; `data` as webhooks print it."""

    seq: int
    event: str
    timestamp: PrintedMoment
    execution_id: str
    data: msgspec.Raw


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events in order, and the number of the newest there is."""

    events: list[LoggedEvent]
    last_seq: Count


def duration(milliseconds: float | None) -> float | None:
    """As it is printed: whole milliseconds without a fraction."""
    return int(milliseconds) if milliseconds is not None and milliseconds.is_integer() else milliseconds


def test(record: TestRecord) -> Test:
    """As it is printed."""
    return Test(
        test_id=test_id(record.file, record.title),
        title=record.title,
        file=record.file,
        status=record.status,
        duration=duration(record.duration_ms),
        error=record.error,
        retries=record.retries,
        tags=record.tags,
        details=record.details,
        shard_id=record.shard_id,
        attempt=record.attempt,
        submission_id=record.submission_id,
        ordinal=record.ordinal,
    )


def event(execution_id: str, record: EventRecord) -> LoggedEvent:
    """As it is printed."""
    return LoggedEvent(
        seq=record.seq,
        event=record.name,
        timestamp=to_text(record.at),
        execution_id=execution_id,
        data=msgspec.Raw(record.data.encode()),
    )


P = TypeVar("P", bound=msgspec.Struct)


def cursor_of(position: msgspec.Struct | None) -> str | None:
    """A position as an opaque text."""
    if position is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode(msgspec.structs.astuple(position))).decode().rstrip("=")


def position_of(cursor: str | None, kind: type[P]) -> P | None:
    """The position of a cursor that was given out before.

    Raises:
        ValidationFailed: it was not.
    """
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        fields = dict(zip(kind.__struct_fields__, msgspec.json.decode(text, type=list), strict=True))
        position = msgspec.convert(fields, kind)
    except (ValueError, msgspec.MsgspecError):
        position = None
    if position is None or not all(map(_is_comparable, msgspec.structs.astuple(position))):
        raise ValidationFailed(FieldError("cursor", "Must be a nextCursor of this list"))
    return position


def _is_comparable(value: object) -> bool:
    """Whether the store can compare a column with it."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and is_in_range(value)
    return is_storable(str(value))
