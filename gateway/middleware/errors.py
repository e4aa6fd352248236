"""From errors to answers: the one map of codes to HTTP statuses (X-080 to X-084)."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import msgspec
from aiohttp import web

from gateway.wire import errors as wire
from orchestrator import errors
from orchestrator.errors import TMSError

STATUSES: dict[type[TMSError], HTTPStatus] = {
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ValidationFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TMSError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_encoder = msgspec.json.Encoder()


def status_of(error: TMSError) -> HTTPStatus:
    """The HTTP status of an error, that of its nearest ancestor in the map."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def answer(error: TMSError, request_id: UUID) -> web.Response:
    """The answer that tells of an error; a fault of ours tells nothing but where to look."""
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        error = errors.InternalError("Something went wrong on our side; the log tells more under this requestId")
    return web.Response(
        status=status,
        body=_encoder.encode(wire.body(error, request_id, datetime.now(UTC))),
        content_type="application/json",
        headers=_headers(error),
    )


def of_framework(error: web.HTTPException) -> TMSError:
    """The framework's own refusal as one of ours."""
    match error:
        case web.HTTPNotFound():
            return errors.NotFound("There is nothing at this path; /api/docs lists what there is")
        case web.HTTPMethodNotAllowed():
            return _MethodNotAllowed(error.method, error.allowed_methods)
        case web.HTTPRequestEntityTooLarge():
            return errors.TooLarge("The body is larger than this server takes")
        case _:
            return errors.BadRequest(error.reason)


class _MethodNotAllowed(errors.MethodNotAllowed):
    """With the methods that are, for the `Allow` header."""

    def __init__(self, method: str, allowed: set[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"{method} is not possible here; {self.allowed} is")


def _headers(error: TMSError) -> dict[str, str]:
    match error:
        case errors.Unavailable() | errors.RateLimited():
            return {"Retry-After": str(error.retry_after)}
        case errors.Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case errors.RangeNotSatisfiable():
            return {"Content-Range": f"bytes */{error.size}"}
        case _MethodNotAllowed():
            return {"Allow": error.allowed}
        case _:
            return {}
