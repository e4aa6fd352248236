"""The live protocol: executions as they happen, over websockets and server-sent events.

    bus ──> hub ──> tenant ──> channel ──> stream ──> track ──> subscriber ──> sink
                                  │           ^         ^
                                  └── replay ─┴─────────┘   the log in Postgres

One `hub` a process reads the bus. A `channel` is an execution that somebody watches; its `stream`s put events and
tests in order, each number once, and read from the log what the bus lost. A `track` is what one reader gets of it: it
catches up from the log, then takes what the stream passes on. A `subscriber` writes for one reader; a reader that
cannot take all loses its place, not the others theirs.
"""

from collections.abc import AsyncIterator

from aiohttp import web

from gateway.live.hub import HUB, Hub
from gateway.live.measures import LiveMeasures
from gateway.live.replay import Replay
from gateway.middleware.metrics import METRICS
from gateway.services import SERVICES


def install(app: web.Application) -> None:
    """Give an application, which has its services and metrics, a hub that listens as long as it runs.

    The routes are in `gateway.routes`.
    """
    services = app[SERVICES]
    measures = LiveMeasures(app[METRICS].registry)
    app[HUB] = Hub(Replay(services.reader, measures), services.bus, measures)
    app.cleanup_ctx.append(_listening)
    app.on_shutdown.append(_send_away)


async def _listening(app: web.Application) -> AsyncIterator[None]:
    app[HUB].start()
    yield
    await app[HUB].close()


async def _send_away(app: web.Application) -> None:
    await app[HUB].send_away()
