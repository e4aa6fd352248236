"""A route, and what its handler is called with: who asks, the body and the query as structs, the services.

`serve` makes the framework's handler of a route: authentication, body, query, handler, answer, in this order.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from gateway import accepts
from gateway.middleware import bodies, forms, idempotency, limits
from gateway.middleware.authentication import Authentication
from gateway.middleware.idempotency import Marks
from gateway.services import Services
from gateway.wire.reading import BodyReader, QueryReader
from orchestrator.identity.model import Principal
from orchestrator.identity.roles import Permission

JSON = "application/json"
HTML = "text/html; charset=utf-8"
_COMPRESSED_FROM = 1024

Body = TypeVar("Body")
Query = TypeVar("Query")


class Family(StrEnum):
    """Whose conventions a route follows; the OpenAPI document groups by it."""

    X = "Executions"
    SERVICE = "Service"


class Access(StrEnum):
    """How a caller proves who it is."""

    API_TOKEN = "apiToken"  # noqa: S105 - a name, not a token
    WEBHOOK_TOKEN = "webhookToken"  # noqa: S105 - as above
    SIGNED_URL = "signedUrl"  # or an API token
    OPEN = "open"


class Call(Generic[Body, Query]):
    """One request, ready for its handler.

    Attributes:
        services: what the gateway works with.
        authentication: what is known of tokens.
        request: for ids in the path; the body is read already.
        body: the decoded body; None where an optional one was left out.
        raw: the body as it was sent, decompressed.
        query: the decoded query.
        now: when the request was read.
    """

    __slots__ = ("_principal", "authentication", "body", "now", "query", "raw", "request", "services")

    def __init__(
        self,
        services: Services,
        authentication: Authentication,
        request: web.Request,
        *,
        principal: Principal | None,
        body: Body,
        raw: bytes,
        query: Query,
    ) -> None:
        self.services = services
        self.authentication = authentication
        self.request = request
        self._principal = principal
        self.body = body
        self.raw = raw
        self.query = query
        self.now = datetime.now(UTC)

    @property
    def principal(self) -> Principal:
        """Who asks."""
        if self._principal is None:
            raise LookupError("nobody is asked for on an open route")
        return self._principal

    def marks(self) -> Marks:
        """The `Idempotency-Key` of the request, or the lack of one.

        Raises:
            ValidationFailed: it is no proper key.
        """
        return idempotency.marks(self.request, self.principal, self.raw, self.now)


Handler = Callable[[Any], Awaitable[Any]]
StreamHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    Attributes:
        handler: gives the struct to answer, or bytes where `media` is not JSON; or the framework's answer, begun.
        answers: what it answers, by status; the first is the one of success, another is told by its struct.
        refusals: statuses that its own errors have, beside those that follow from the rest of the route.
        body, query: the structs they are read into.
        takes_files: the body is a file, or several as a form; the handler gets a list of `forms.SentFile`.
        streams_body: the body is a file of any size, which the handler reads by itself.
        is_repeatable: the same POST again changes nothing by itself, so that it takes no `Idempotency-Key`.
        visitors: answers a browser that shows no credential and wants a page; others are answered as ever.
        body_may_lack: the body may be left out.
        media, other_media: what the answer is written in, and in what else where `Accept` asks for it.
        stream: the handler takes the framework's request, authenticates and answers by itself.
        is_limited: counts against `TMS_LIMIT_WEBHOOKS`.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: dict[HTTPStatus, Any]
    refusals: tuple[HTTPStatus, ...] = ()
    family: Family = Family.X
    access: Access = Access.API_TOKEN
    permission: Permission | None = None
    body: Any = None
    body_may_lack: bool = False
    takes_files: bool = False
    streams_body: bool = False
    is_repeatable: bool = False
    visitors: StreamHandler | None = None
    query: type[msgspec.Struct] | None = None
    media: str = JSON
    other_media: tuple[str, ...] = ()
    stream: bool = False
    is_limited: bool = False


_encoder = msgspec.json.Encoder()
_headers = {"Content-Type": JSON}


def serve(route: Route, services: Services, authentication: Authentication) -> StreamHandler:
    """The framework's handler of a route."""
    if route.stream:
        return route.handler
    body_reader = None if route.body is None else BodyReader(route.body)
    query_reader = None if route.query is None else QueryReader(route.query)
    success = int(next(iter(route.answers)))
    statuses = {kind: int(status) for status, kind in reversed(route.answers.items())}

    async def handle(request: web.Request) -> web.StreamResponse:
        if route.visitors is not None and accepts.is_visitor(request):
            return await route.visitors(request)
        principal = await _principal(route, authentication, request)
        if route.is_limited and principal is not None:
            most = services.settings.limit_webhooks
            await limits.take(request, services.counters, "webhooks", most, principal)
        query = None if query_reader is None else query_reader.read(request.query)
        raw, body = b"", None
        if body_reader is not None:
            raw = await bodies.read(request, services.settings.max_body_bytes)
            if raw or not route.body_may_lack:
                body = body_reader.read(raw)
        elif route.takes_files:
            body = await forms.read(request, services.settings.max_body_bytes)
        if principal is not None:
            principal.require_execution(request.match_info.get("executionId") or getattr(body, "execution_id", None))
        call = Call(services, authentication, request, principal=principal, body=body, raw=raw, query=query)
        content = await route.handler(call)
        if isinstance(content, web.StreamResponse):
            return content
        return answer(request, statuses.get(type(content), success), content, route.media)

    return handle


async def _principal(route: Route, authentication: Authentication, request: web.Request) -> Principal | None:
    if route.access is Access.OPEN:
        return None
    if route.access is Access.WEBHOOK_TOKEN:
        return await authentication.of_runner(request)
    if route.access is Access.SIGNED_URL and "Authorization" not in request.headers:
        return await authentication.of_url(request)
    principal = await authentication.of_request(request)
    if route.permission is not None:
        principal.require(route.permission)
    return principal


def answer(request: web.Request, status: int, content: Any, media: str) -> web.Response:  # noqa: ANN401 - any struct
    """Content as it is sent: compressed where that is worth it."""
    body = content if isinstance(content, bytes) else _encoder.encode(content)
    written = web.Response(status=status, body=body, headers=_headers if media == JSON else {"Content-Type": media})
    if len(body) > _COMPRESSED_FROM:
        written.headers["Vary"] = "Accept-Encoding"
        if accepts.takes_gzip(request.headers.get("Accept-Encoding", "")):
            written.enable_compression(web.ContentCoding.gzip)
    return written
