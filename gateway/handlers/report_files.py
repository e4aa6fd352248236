"""Reports of executions and shards as other tools read them, JUnit XML and CTRF JSON, sent page by page."""

from collections.abc import AsyncIterator, Sequence

import structlog
from aiohttp import web

from gateway import paths
from gateway.accepts import OFFERED, PAGE, preferred, takes_gzip
from gateway.calls import HTML, JSON, Call
from gateway.handlers.executions import found, found_shard
from orchestrator.errors import TMSError
from orchestrator.executions.formats.ctrf_writer import CtrfWriter
from orchestrator.executions.formats.junit_writer import JUnitWriter
from orchestrator.executions.formats.report import Writer
from orchestrator.executions.model import Execution, Shard
from storage import executions
from storage.executions import Place

log = structlog.get_logger(__name__)

JUNIT = "application/xml"
CTRF = "application/ctrf+json"
PAGE_TESTS = 500

_WRITTEN_AS = {JSON: JSON, JUNIT: JUNIT, "text/xml": JUNIT, CTRF: CTRF, PAGE: HTML}


def wanted(call: Call[None, None]) -> str:
    """What a report is to be written in, by the request's `Accept`."""
    return _WRITTEN_AS[preferred(call.request.headers.get("Accept", "*/*"), OFFERED)]


async def junit(call: Call[None, None]) -> web.StreamResponse:
    """An execution as JUnit XML."""
    return await send(call, JUNIT)


async def ctrf(call: Call[None, None]) -> web.StreamResponse:
    """An execution as CTRF JSON."""
    return await send(call, CTRF)


async def shard_junit(call: Call[None, None]) -> web.StreamResponse:
    """A shard as JUnit XML."""
    return await send(call, JUNIT)


async def shard_ctrf(call: Call[None, None]) -> web.StreamResponse:
    """A shard as CTRF JSON."""
    return await send(call, CTRF)


async def send(call: Call[None, None], media: str) -> web.StreamResponse:
    """The report that the path names, in `JUNIT` or `CTRF`."""
    request = call.request
    execution_id, number = paths.execution_id_of(request), request.match_info.get("shardId")
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
    shard = None if number is None else found_shard(execution, number)
    totals = execution.totals if shard is None else shard.totals
    writer: Writer
    writer = JUnitWriter(execution, totals) if media == JUNIT else CtrfWriter(execution, totals, shard, call.now)
    pieces = _pieces(call, writer, execution, execution.shards if shard is None else (shard,))
    first = await anext(pieces)
    answer = web.StreamResponse(headers={"Content-Type": media, "Vary": "Accept, Accept-Encoding"})
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        answer.enable_compression(web.ContentCoding.gzip)
    await answer.prepare(request)
    await answer.write(first)
    try:
        async for piece in pieces:
            await answer.write(piece)
    except TMSError as error:
        # It is too late for another status: an answer that is cut off tells as much.
        log.warning("report is cut off", execution_id=execution_id, code=error.code, reason=error.message)
        if request.transport is not None:
            request.transport.abort()
        return answer
    await answer.write_eof()
    return answer


async def _pieces(
    call: Call[None, None], writer: Writer, execution: Execution, shards: Sequence[Shard]
) -> AsyncIterator[bytes]:
    """The report in pieces of a page. A submission never changes, so a page needs nothing of the one before.

    No connection is held while a piece is sent, for that takes as long as its reader likes.
    """
    piece = writer.begin()
    for shard in shards:
        piece += writer.shard(shard)
        after = None if shard.submission_id is None else Place()
        while after is not None:
            async with call.services.reader.tenant(call.principal.tenant_id) as connection:
                tests, after = await executions.tests_of_result(
                    connection, execution.execution_id, str(shard.submission_id), after=after, limit=PAGE_TESTS
                )
            yield piece + writer.tests(tests)
            piece = b""
    yield piece + writer.end()
