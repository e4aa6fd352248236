"""The floor of live reading: Valkey, and a bare websocket server that passes on what comes to whoever is connected.

The processes are those of the real thing: one publishes, as an owner does; one is subscribed and serves the readers, as
the gateway does; the readers are in a third.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from time import monotonic

import uvloop
from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from benchmarks.companions import told
from benchmarks.made_up import FIRST_NUMBER

CHANNEL = "bare:"
START_SECONDS = 30.0
DELIVER_SECONDS = 2.0

_SEQ = re.compile(rb'"seq":\d+')
_LAST_TOTAL = re.compile(rb'"total":\d+(?!.*"total":)', re.DOTALL)


def path_of(execution_id: str) -> str:
    """Where to read of an execution."""
    return f"/live/{execution_id}"


def serve(pipe: Connection, redis_url: str) -> None:
    """A companion's work: serve websockets, tell the port, end when told."""
    uvloop.run(_serve(pipe, redis_url))


async def _serve(pipe: Connection, redis_url: str) -> None:
    fanout = _Fanout()
    app = web.Application()
    app.router.add_get(path_of("{execution_id}"), fanout.read)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as subscription:
        await subscription.psubscribe(f"{CHANNEL}*")
        passing_on = asyncio.create_task(fanout.pass_on(subscription))
        pipe.send(runner.addresses[0][1])
        await told(pipe)
        passing_on.cancel()
        await asyncio.wait([passing_on])
    await runner.cleanup()


class _Fanout:
    def __init__(self) -> None:
        self._readers: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)

    async def read(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        readers = self._readers[request.match_info["execution_id"]]
        readers.add(websocket)
        async for _ in websocket:
            continue
        readers.discard(websocket)
        return websocket

    async def pass_on(self, subscription: PubSub) -> None:
        async for message in subscription.listen():
            if message["type"] == "pmessage":
                text = message["data"].decode()
                for websocket in self._readers[message["channel"].decode().removeprefix(CHANNEL)]:
                    await websocket.send_str(text)


def publish(
    redis_url: str, example: bytes, execution_ids: Sequence[str], rate: float, seconds: float
) -> dict[int, tuple[float, float]]:
    """Publish frames like an example, to one execution after the other.

    Returns:
        For each number, when it was handed over and when Valkey had answered, by the monotonic clock.
    """
    return uvloop.run(_publish(redis_url, example, execution_ids, rate, seconds))


async def _publish(
    redis_url: str, example: bytes, execution_ids: Sequence[str], rate: float, seconds: float
) -> dict[int, tuple[float, float]]:
    published = {}
    rounds = cycle(execution_ids)
    async with Redis.from_url(redis_url) as redis:
        start = monotonic()
        for sent in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, start + sent / rate - monotonic()))
            number = FIRST_NUMBER + sent
            frame = _numbered(example, number, seq=1 + sent // len(execution_ids))
            before = monotonic()
            await redis.publish(f"{CHANNEL}{next(rounds)}", frame)
            published[number] = (before, monotonic())
    return published


def _numbered(example: bytes, number: int, seq: int) -> bytes:
    frame = _LAST_TOTAL.sub(b'"total":%d' % number, example)
    return _SEQ.sub(b'"seq":%d' % seq, frame, count=1)
