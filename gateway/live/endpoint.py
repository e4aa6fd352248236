"""The two live routes: what a reader asks for, and the tracks that give it that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway import paths
from gateway.live.channel import Channel
from gateway.live.connection import Opening, serve
from gateway.live.subscriber import Subscriber, Track
from gateway.live.tenant import Tenant, View
from gateway.live.tracks import NumberedTrack
from gateway.wire.live import AllLiveQuery, ExecutionLiveQuery
from gateway.wire.reading import QueryReader

_read_execution_query = QueryReader(ExecutionLiveQuery).read
_read_all_query = QueryReader(AllLiveQuery).read


async def execution_live(request: web.Request) -> web.StreamResponse:
    """Watch one execution: `GET /api/executions/{executionId}/live`.

    The stream stays open when the execution has ended, since results may still replace others; the reader leaves.
    """

    def opening() -> Opening:
        last = request.headers.get("Last-Event-ID")
        query = _read_execution_query({**request.query, **({} if last is None else {"after": last})})
        return lambda tenant, subscriber: one_execution(tenant, subscriber, paths.execution_id_of(request), query)

    return await serve(request, opening, has_ids=True)


async def all_live(request: web.Request) -> web.StreamResponse:
    """Watch all executions of the caller's tenant: `GET /api/live`.

    It begins with a snapshot of each execution that has not ended; one that comes later begins with its first event.
    """

    def opening() -> Opening:
        query = _read_all_query(request.query)
        view = View(query.test_suite, query.environment, query.status)
        return lambda tenant, subscriber: all_executions(tenant, subscriber, view)

    return await serve(request, opening, has_ids=False)


@asynccontextmanager
async def one_execution(
    tenant: Tenant, subscriber: Subscriber, execution_id: str, query: ExecutionLiveQuery
) -> AsyncIterator[list[Track]]:
    """The tracks of an execution's reader.

    Raises:
        NotFound: the tenant has no such execution.
        Unavailable: the database is away.
    """
    channel = await tenant.watch(execution_id)
    try:
        after = await _position(channel, query.after)
        tracks = {channel.events: NumberedTrack(subscriber, channel.events, after, channel.snapshot)}
        if query.tests:
            tracks[channel.tests] = NumberedTrack(subscriber, channel.tests, query.tests_after or 0)
        for stream, track in tracks.items():
            stream.join(track)
        try:
            yield list(tracks.values())
        finally:
            for stream, track in tracks.items():
                stream.leave(track)
    finally:
        tenant.leave(channel)


async def _position(channel: Channel, after: int | None) -> int | None:
    """Where to resume; None for a snapshot, also where there is no such event, as after a database was set back."""
    if after is None or after <= channel.events.head:
        return after
    newest = await channel.snapshot(after)
    return after if after <= newest.number else None


@asynccontextmanager
async def all_executions(tenant: Tenant, subscriber: Subscriber, view: View) -> AsyncIterator[list[Track]]:
    """The track of a reader of all executions.

    Raises:
        Unavailable: the database is away.
    """
    track = await tenant.follow(subscriber, view)
    try:
        yield [track]
    finally:
        tenant.unfollow(track)
