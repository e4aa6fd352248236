"""The API's own description, for programs and for people; both made from the table of routes at the start."""

from aiohttp import web

from gateway.calls import Call

DOCUMENT = web.AppKey("document", bytes)
PAGE = web.AppKey("page", bytes)


async def document(call: Call[None, None]) -> bytes:
    """The OpenAPI document."""
    return call.request.config_dict[DOCUMENT]


async def page(call: Call[None, None]) -> bytes:
    """The list of routes as a page."""
    return call.request.config_dict[PAGE]
