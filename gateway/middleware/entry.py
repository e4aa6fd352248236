"""The one way in: every request gets its id, its errors their answer, its answer its headers, the metrics their count.

It is a single function, since a chain of small ones would cost more than all they do.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from gateway.middleware import errors
from gateway.middleware.metrics import METRICS
from orchestrator import ids
from orchestrator.errors import TMSError

log = structlog.get_logger(__name__)

SLOW_SECONDS = 1.0
UNMATCHED = "unmatched"

# Nothing is loaded from anywhere; a page brings its own style.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

REQUEST_ID = web.RequestKey("request_id", UUID)

_SERVER_FAULT = 500
_REFUSED = 400

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def entry(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request, whatever happens."""
    began = perf_counter()
    request[REQUEST_ID] = request_id = uuid4()
    try:
        answer = await handler(request)
    except TMSError as error:
        answer = _refusal(request, error)
    except web.HTTPException as error:
        answer = _refusal(request, errors.of_framework(error))
    except ConnectionResetError:
        log.info("client left", method=request.method, path=request.path, request_id=str(request_id))
        raise
    except Exception:
        log.exception("request failed", method=request.method, path=request.path, request_id=str(request_id))
        answer = errors.answer(TMSError("unexpected"), request_id)
    resource = request.match_info.route.resource
    route = UNMATCHED if resource is None else resource.canonical
    seconds = perf_counter() - began
    request.config_dict[METRICS].observe(route, request.method if resource else UNMATCHED, answer.status, seconds)
    if seconds > SLOW_SECONDS and not answer.prepared:
        log.warning("slow request", method=request.method, route=route, seconds=seconds, request_id=str(request_id))
    return answer


def _refusal(request: web.Request, error: TMSError) -> web.Response:
    request_id = request[REQUEST_ID]
    answer = errors.answer(error, request_id)
    tell = log.error if answer.status >= _SERVER_FAULT else log.info
    tell(
        "request refused",
        method=request.method,
        path=request.path,
        status=answer.status,
        code=error.code,
        reason=error.message if answer.status >= _SERVER_FAULT else None,
        request_id=str(request_id),
        short_id=ids.short_request_id(request_id),
    )
    return answer


async def add_headers(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """Headers that every answer has, streams included."""
    headers = answer.headers
    request_id = request.get(REQUEST_ID)
    if request_id is not None:
        headers["X-Request-Id"] = str(request_id)
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", _POLICY)
    headers["Server"] = "tms"


async def expect(request: web.Request) -> None:
    """`Expect: 100-continue` (RFC 9110, section 10.1.1); what else may be expected is not."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
