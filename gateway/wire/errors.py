"""The one error body of all routes: what each family reads is in it (collisions 19 to 21)."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.wire.moments import PrintedMoment
from orchestrator import ids
from orchestrator.errors import FieldError, TMSError
from orchestrator.timestamps import to_text


class ErrorDetail(msgspec.Struct, frozen=True):
    """One wrong field, by its path as the client wrote it."""

    field: str
    message: str


class ErrorContent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What went wrong; `code` is for programs and stable, `requestId` finds the request in the log (X-077, X-086)."""

    code: str
    message: str
    details: list[ErrorDetail]
    request_id: str
    timestamp: PrintedMoment


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer of 400 and above."""

    success: bool = False
    error: ErrorContent
    request_id: str


def body(error: TMSError, request_id: UUID, now: datetime) -> ErrorBody:
    """An error as it is printed."""
    return ErrorBody(
        error=ErrorContent(
            code=error.code,
            message=error.message,
            details=[_detail(detail) for detail in error.details],
            request_id=ids.short_request_id(request_id),
            timestamp=to_text(now),
        ),
        request_id=str(request_id),
    )


def _detail(detail: FieldError) -> ErrorDetail:
    return ErrorDetail(detail.field, detail.message)
