"""Runs the application on the framework's connections, and answers in our form what is not even HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web

from gateway.live.hub import HUB
from gateway.middleware import errors
from gateway.middleware.entry import add_common_headers
from gateway.middleware.under_way import UNDER_WAY
from orchestrator.errors import BadRequest, TMSError

log = structlog.get_logger(__name__)

_SERVER_FAULT = 500
# What is left to requests that were not finished in time, and to answers on their way out.
_LAST_SECONDS = 1.0


class Runner(web.AppRunner):
    """The framework's runner, with connections of ours, and an end that finishes what is under way.

    Args:
        app: the application.
        grace_seconds: how long requests under way may take to be finished at the end.
    """

    def __init__(self, app: web.Application, *, grace_seconds: float) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=_LAST_SECONDS)
        self._grace_seconds = grace_seconds

    async def cleanup(self) -> None:
        """Take no new connections, send live readers away, finish the requests under way; then end."""
        for site in list(self.sites):
            await site.stop()
        under_way = self.app[UNDER_WAY]
        try:
            async with asyncio.timeout(self._grace_seconds):
                await self.app[HUB].send_away()
                await under_way.finish()
        except TimeoutError:
            log.warning("requests are cut off", number=under_way.number)
        await super().cleanup()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001 - the framework has no other way to its connections' class
        return _Server(made.request_handler, request_factory=made.request_factory, **options)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class _Connection(web.RequestHandler):
    """One connection. What its parser refuses never comes to the application."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request, which may hold a token
    ) -> web.StreamResponse:
        """The answer to a request that could not be read, or that failed outside of the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        request_id = uuid4()
        about: dict[str, Any] = {"request_id": str(request_id), "error": type(exc).__name__}
        if status >= _SERVER_FAULT:
            log.error("request failed outside of the application", **about, exc_info=exc)
            answer = errors.answer(TMSError("unexpected"), request_id)
        else:
            log.info("request is not HTTP", **about)
            answer = errors.answer(BadRequest("This is not HTTP/1.1, or its head is too long"), request_id)
        add_common_headers(answer, request_id)
        answer.force_close()
        return answer
