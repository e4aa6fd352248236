"""The one way in: every request gets its id, its errors their answer, its answer its headers, the metrics their count.

It is a single function, since a chain of small ones would cost more than all they do.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.middleware import errors
from gateway.middleware.limits import RATE_HEADERS
from gateway.middleware.metrics import Metrics
from gateway.middleware.under_way import UnderWay
from orchestrator import ids
from orchestrator.errors import BadRequest, TMSError

log = structlog.get_logger(__name__)

SLOW_SECONDS = 1.0
UNMATCHED = "unmatched"

# Nothing is loaded from anywhere; a page brings its own style.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

REQUEST_ID = web.RequestKey("request_id", UUID)

_SERVER_FAULT = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def entry(metrics: Metrics, under_way: UnderWay) -> Middleware:
    """The middleware that answers a request, whatever happens."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        under_way.enter()
        request[REQUEST_ID] = uuid4()
        try:
            answer = await handler(request)
        except TMSError as error:
            answer = _refusal(request, error)
        except web.HTTPException as error:
            answer = _refusal(request, errors.of_framework(error))
        except ConnectionResetError:  # nobody reads this answer
            log.info("client left", **_about(request))
            answer = errors.answer(BadRequest("The connection was lost"), request[REQUEST_ID])
        except Exception:
            log.exception("request failed", **_about(request))
            answer = errors.answer(TMSError("unexpected"), request[REQUEST_ID])
        finally:
            under_way.leave()
        if under_way.is_stopping and not answer.prepared:
            answer.force_close()
        _observe(metrics, request, answer, perf_counter() - began)
        return answer

    return enter


def _observe(metrics: Metrics, request: web.Request, answer: web.StreamResponse, seconds: float) -> None:
    resource = request.match_info.route.resource
    if resource is None:
        metrics.observe(UNMATCHED, UNMATCHED, answer.status, seconds)
    elif answer.prepared:  # a stream, which lasts as long as its reader likes
        metrics.observe_stream(resource.canonical, request.method, answer.status)
    else:
        metrics.observe(resource.canonical, request.method, answer.status, seconds)
        if seconds > SLOW_SECONDS:
            log.warning("slow request", seconds=seconds, status=answer.status, **_about(request))


def _about(request: web.Request) -> dict[str, str]:
    request_id = request[REQUEST_ID]
    return {
        "method": request.method,
        "path": request.path,
        "request_id": str(request_id),
        "short_id": ids.short_request_id(request_id),
    }


def _refusal(request: web.Request, error: TMSError) -> web.Response:
    answer = errors.answer(error, request[REQUEST_ID])
    if answer.status >= _SERVER_FAULT:
        log.error("request failed", status=answer.status, code=error.code, reason=error.message, **_about(request))
    else:
        log.info("request refused", status=answer.status, code=error.code, **_about(request))
    return answer


async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Headers that every answer has, streams included; a signal of the framework."""
    request_id = request.get(REQUEST_ID)  # None where the framework refused before the application was asked
    add_common_headers(answer, uuid4() if request_id is None else request_id)
    answer.headers.update(request.get(RATE_HEADERS, {}))


def add_common_headers(answer: web.StreamResponse, request_id: UUID) -> None:
    """Headers that every answer has."""
    headers = answer.headers
    headers["X-Request-Id"] = str(request_id)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Server"] = "tms"
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", _POLICY)


async def expect(request: web.Request) -> None:
    """`Expect: 100-continue` (RFC 9110, section 10.1.1); what else may be expected is not."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
