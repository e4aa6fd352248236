"""Ids in paths, and the base of the URLs that are given out."""

import re

from aiohttp import web

from orchestrator.errors import BadRequest, NotFound

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?")


def execution_id_of(request: web.Request) -> str:
    """The execution that a path names.

    Raises:
        NotFound: it cannot be the id of any.
    """
    return id_of(request, "executionId")


def id_of(request: web.Request, name: str) -> str:
    """A path's part that is an id.

    Raises:
        NotFound: it cannot be one.
    """
    value = request.match_info[name]
    if _ID.fullmatch(value) is None:
        raise NotFound(f"There is no such {name}")
    return value


def base_url(request: web.Request, public_url: str | None) -> str:
    """Where the URLs given out begin: the setting, else where this client came to (X-009).

    What a proxy says in `X-Forwarded-…` is not believed, for a client can say it too.

    Raises:
        BadRequest: the request's `Host` is none.
    """
    if public_url is not None:
        return public_url.rstrip("/")
    if _HOST.fullmatch(request.host) is None:
        raise BadRequest("The Host header is not a host name")
    return f"{request.scheme}://{request.host}"
