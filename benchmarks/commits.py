"""When events were committed, as their owner says: it tells the bus right after each commit."""

import asyncio
from multiprocessing.connection import Connection
from time import monotonic, time

import uvloop

from benchmarks.companions import told
from benchmarks.readers import number_of
from storage.bus import Bus


def note(pipe: Connection, redis_url: str) -> None:
    """A companion's work: tell when it listens; when told to, the monotonic moment of each numbered event's commit."""
    uvloop.run(_note(pipe, redis_url))


async def _note(pipe: Connection, redis_url: str) -> None:
    bus = Bus(redis_url)
    moments: dict[int, float] = {}
    listening = asyncio.create_task(_listen(pipe, bus, moments))
    if await told(pipe):
        pipe.send(moments)
    listening.cancel()
    await asyncio.wait([listening])
    await bus.close()


async def _listen(pipe: Connection, bus: Bus, moments: dict[int, float]) -> None:
    is_first = True
    async for news in bus.listen():
        if is_first:
            pipe.send("listening")
            is_first = False
        if news is not None and news.committed_at is not None:
            # The owner's clock tells the time, the readers' are monotonic; all are of this machine.
            moment = monotonic() - (time() - news.committed_at)
            for event in news.events:
                number = number_of(event.frame)
                if number is not None:
                    moments[number] = moment
