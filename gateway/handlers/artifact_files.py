"""The bytes of an artifact, for downloading or to be shown, such that nothing in them runs as if it were ours.

They were uploaded by anybody who may run tests, and are served from the origin where people are signed in. So their
type is told by their name and must be one that a browser only shows (`kinds.shown_as`); all else is for downloading, as
bytes of no type. A browser guesses no other type, and puts what it shows into an origin of its own, without scripts.
"""

from http import HTTPStatus
from urllib.parse import quote

import structlog
from aiohttp import web

from gateway import ranges
from gateway.calls import Call
from gateway.handlers.artifacts import of_path
from gateway.wire.artifacts import FileQuery
from orchestrator.artifacts import kinds, names
from orchestrator.artifacts.model import Artifact
from orchestrator.errors import NotFound, TMSError

log = structlog.get_logger(__name__)

BYTES = "application/octet-stream"
_POLICY = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'self'"


async def send(call: Call[None, FileQuery]) -> web.StreamResponse:
    """The file, or the part of it that is asked for.

    Raises:
        NotFound: there is no such file, or not all of it yet.
        RangeNotSatisfiable: it has no such part.
    """
    request = call.request
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        artifact = await of_path(call, connection)
    if artifact.object_name is None:
        raise NotFound(f"{artifact.artifact_id} is still being uploaded")
    tag = artifact.sha256.hex()
    headers = _headers(artifact, call.query.download) | {"ETag": f'"{tag}"'}
    if any(one.value in {tag, "*"} for one in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    is_same = request.headers.get("If-Range", f'"{tag}"') == f'"{tag}"'
    part = ranges.wanted(request.headers.get("Range"), artifact.size) if is_same else None
    answer = web.StreamResponse(headers=headers)
    if part is not None:
        answer.set_status(HTTPStatus.PARTIAL_CONTENT)
        answer.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{artifact.size}"
    part = range(artifact.size) if part is None else part
    answer.content_length = len(part)
    windows = call.services.blobs.read(artifact.object_name, part.start, part.stop)
    first = await anext(windows, b"")
    await answer.prepare(request)
    await answer.write(first)
    try:
        async for window in windows:
            await answer.write(window)
    except TMSError as error:
        # It is too late for another status: an answer that is cut off tells as much.
        log.warning("file is cut off", artifact_id=artifact.artifact_id, code=error.code, reason=error.message)
        if request.transport is not None:
            request.transport.abort()
        return answer
    await answer.write_eof()
    return answer


def _headers(artifact: Artifact, is_download: bool) -> dict[str, str]:  # noqa: FBT001 - as the query says
    shown_as = None if is_download else kinds.shown_as(artifact.name)
    name = names.last_part(artifact.name)
    # The first name is for clients that do not know the second, which has all characters (RFC 6266).
    called = f"filename=\"{names.ascii_only(name)}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": BYTES if shown_as is None else shown_as,
        "Content-Disposition": f"{'attachment' if shown_as is None else 'inline'}; {called}",
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
    }
