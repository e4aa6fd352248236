"""The application: the table of routes on the framework's router, and what lives as long as the server does."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from gateway import live, openapi
from gateway.calls import serve
from gateway.handlers import dashboard
from gateway.handlers.documentation import DOCUMENT, PAGE
from gateway.manifests import MANIFESTS, Manifests
from gateway.middleware.authentication import AUTHENTICATION, Authentication
from gateway.middleware.entry import add_headers, entry, expect
from gateway.middleware.metrics import METRICS, Metrics
from gateway.middleware.under_way import UNDER_WAY, UnderWay
from gateway.routes import ROUTES
from gateway.services import SERVICES, Services


def build_app(services: Services) -> web.Application:
    """The gateway on these services, ready to be run."""
    authentication = Authentication(services.reader, services.secret_key)
    under_way = UnderWay()
    metrics = Metrics(under_way, services.collectors)
    app = web.Application(
        middlewares=[entry(metrics, under_way)],
        client_max_size=services.settings.max_body_bytes,
        # Bodies are inflated by `middleware.bodies`, which stops where there is too much in them.
        handler_args={"auto_decompress": False},
    )
    app[SERVICES] = services
    app[AUTHENTICATION] = authentication
    app[METRICS] = metrics
    app[UNDER_WAY] = under_way
    app[MANIFESTS] = Manifests(services.reader)
    described = openapi.document(ROUTES)
    app[DOCUMENT] = msgspec.json.encode(described)
    app[PAGE] = openapi.page(described)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, serve(route, services, authentication), expect_handler=expect)
    dashboard.install(app)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_noting)
    live.install(app)
    return app


async def _noting(app: web.Application) -> AsyncIterator[None]:
    """Write down uses of tokens while the application runs."""
    noting = asyncio.create_task(app[AUTHENTICATION].keep_noting())
    yield
    noting.cancel()
    await asyncio.gather(noting, return_exceptions=True)
