"""A reader's connection from its first to its last byte, as a websocket or as a stream of server-sent events.

A websocket is accepted before anything is decided, so that browsers, which see no HTTP answer, can read the reason
from the code it is closed with. A stream is refused with an HTTP status as any other request.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog
from aiohttp import web

from gateway.live.hub import GOING_AWAY, HUB
from gateway.live.sinks import PING_SECONDS, EventStreamSink, Sink, WebSocketSink
from gateway.live.subscriber import FAILED, GONE, LEFT, Subscriber, Track
from gateway.live.tenant import Tenant
from gateway.middleware.authentication import AUTHENTICATION, bearer
from orchestrator.errors import FieldError, Forbidden, NotFound, TMSError, Unauthorized, Unavailable, ValidationFailed
from orchestrator.identity.model import Principal
from orchestrator.identity.roles import Permission

log = structlog.get_logger(__name__)

PROTOCOL = "tms.v1"
_TOKEN_PROTOCOL = "bearer."  # noqa: S105 - a prefix, not a token
_LONGEST_TOKEN = 512
_PROTOCOLS = "Sec-WebSocket-Protocol"
_EVENT_STREAM = "text/event-stream"

NO_RIGHT = 4401
TRY_AGAIN_LATER = 1013
_CODES: dict[type[TMSError], int] = {
    Unauthorized: NO_RIGHT,
    Forbidden: NO_RIGHT,
    NotFound: GONE,
    Unavailable: TRY_AGAIN_LATER,
}

RIGHT_SECONDS = 30.0
"""How often it is made sure that a reader may still look."""

CLOSE_SECONDS = 5.0
"""How long a reader may take to say goodbye before its connection is cut."""

_MOST_BYTES_IN = 4096
_LONGEST_REASON = 120

# (whose executions, the reader) -> the tracks asked for, open as long as the context is
Opening = Callable[[Tenant, Subscriber], AbstractAsyncContextManager[list[Track]]]


async def serve(request: web.Request, opening: Callable[[], Opening], *, has_ids: bool) -> web.StreamResponse:
    """Serve a reader until it leaves or has to.

    Args:
        request: of either transport.
        opening: reads the query, and gives what opens the tracks; either may refuse.
        has_ids: whether server-sent events have ids to resume after.

    Raises:
        ValidationFailed: the query or a header is wrong.
        Unauthorized, Forbidden, NotFound, Unavailable: a stream was refused.
    """
    if request.headers.get("Upgrade", "").strip().lower() == "websocket":
        return await _serve_websocket(request, opening())
    await _principal(request)
    chosen = opening()
    if _EVENT_STREAM not in request.headers.get("Accept", ""):
        raise ValidationFailed(FieldError("Accept", f"Must be {_EVENT_STREAM}, unless the request is a websocket's"))
    return await _serve_event_stream(request, chosen, has_ids=has_ids)


async def _serve_websocket(request: web.Request, opening: Opening) -> web.StreamResponse:
    # The framework would log what a reader offers that does not know ours, and with it the token.
    if _PROTOCOLS in request.headers and PROTOCOL not in _listed([request.headers[_PROTOCOLS]]):
        raise ValidationFailed(FieldError(_PROTOCOLS, f"Must offer {PROTOCOL}"))
    websocket = web.WebSocketResponse(
        protocols=(PROTOCOL,), heartbeat=PING_SECONDS, compress=False, max_msg_size=_MOST_BYTES_IN, writer_limit=0
    )
    await websocket.prepare(request)
    reason = ""
    async with _reader(request, WebSocketSink(request, websocket)) as subscriber:
        async with _listening(websocket, subscriber):
            try:
                code = await _attend(request, subscriber, opening, _nothing)
            except TMSError as error:
                code, reason = _code_of(error), error.message
            except Exception:
                log.exception("live websocket failed", path=request.path)
                code = FAILED
            if code == GOING_AWAY:
                # The framework reads nothing any more while it shuts down. Closed while somebody listens, it does not
                # wait for an answer either.
                await _farewell(request, websocket.close(code=code))
        await _farewell(request, websocket.close(code=code, message=_short(reason)))
        request.config_dict[HUB].measures.left(code)
    return websocket


async def _serve_event_stream(request: web.Request, opening: Opening, *, has_ids: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _EVENT_STREAM, "X-Accel-Buffering": "no"})

    async def begin() -> None:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")

    async with _reader(request, EventStreamSink(request, response, has_ids=has_ids)) as subscriber:
        try:
            code = await _attend(request, subscriber, opening, begin)
        except ConnectionError:
            code = LEFT
        except Exception as error:
            if not response.prepared:
                raise
            if not isinstance(error, TMSError):
                log.exception("live stream failed", path=request.path)
            code = FAILED
        if code != LEFT:
            await _farewell(request, response.write_eof())
        request.config_dict[HUB].measures.left(code)
    return response


async def _attend(
    request: web.Request, subscriber: Subscriber, opening: Opening, begin: Callable[[], Awaitable[None]]
) -> int:
    """Find out who asks, open what is asked for, and write until there is a verdict; returns that.

    Raises:
        Unauthorized, Forbidden: the reader may not look, or not any more.
        NotFound: there is no such execution.
        Unavailable: the database is away.
    """
    principal = await _principal(request)
    tenant = request.config_dict[HUB].tenant(principal.tenant_id)
    async with opening(tenant, subscriber) as tracks:
        await begin()
        subscriber.start(tracks)
        while not subscriber.verdict.done():
            decided, _ = await asyncio.wait([subscriber.verdict], timeout=RIGHT_SECONDS)
            if not decided:
                with suppress(Unavailable):
                    await _principal(request)
    return subscriber.verdict.result()


@asynccontextmanager
async def _reader(request: web.Request, sink: Sink) -> AsyncIterator[Subscriber]:
    """A subscriber that the hub knows."""
    hub = request.config_dict[HUB]
    subscriber = Subscriber(sink, hub.measures)
    hub.enter(subscriber)
    try:
        yield subscriber
    finally:
        subscriber.end(FAILED)
        hub.leave(subscriber)
        await subscriber.stop()


async def _farewell(request: web.Request, goodbye: Coroutine[None, None, object]) -> None:
    """Say goodbye; who does not take it in time is cut off."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await goodbye
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()


@asynccontextmanager
async def _listening(websocket: web.WebSocketResponse, subscriber: Subscriber) -> AsyncIterator[None]:
    """Read what a reader sends, which is nothing but answers to pings and its farewell."""

    async def listen() -> None:
        async for _ in websocket:
            pass
        subscriber.end(LEFT)

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _nothing() -> None:
    """A websocket has begun already."""


async def _principal(request: web.Request) -> Principal:
    """Who asks, being allowed to look.

    Raises:
        Unauthorized, Forbidden, Unavailable: as they say.
    """
    principal = await request.config_dict[AUTHENTICATION].of_token(_token(request))
    principal.require(Permission.READ_EXECUTIONS)
    principal.require_execution(request.match_info.get("executionId"))
    return principal


def _token(request: web.Request) -> str:
    """From the `Authorization` header; from a browser, which cannot set that, among the subprotocols."""
    if "Authorization" not in request.headers:
        for offered in _listed(request.headers.getall(_PROTOCOLS, [])):
            token = offered.removeprefix(_TOKEN_PROTOCOL)
            if token != offered and token.isascii() and len(token) <= _LONGEST_TOKEN:
                return token
    return bearer(request)


def _listed(values: list[str]) -> list[str]:
    return [one.strip() for value in values for one in value.split(",")]


def _code_of(error: TMSError) -> int:
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), FAILED)


def _short(reason: str) -> bytes:
    """A close frame holds 123 bytes of it at the most, and no half characters."""
    return reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
