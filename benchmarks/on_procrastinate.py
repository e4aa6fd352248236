"""Deliveries by procrastinate, in a database of its own on the server's Postgres."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
import procrastinate
import uvloop

from benchmarks import posts
from benchmarks.companions import Companion, CompanionFailed, alone, told
from benchmarks.posts import Post
from benchmarks.receiver import Arrived

DATABASE = "procrastinate"
START_SECONDS = 30.0
QUEUE_SECONDS = 300.0
RECORD_SECONDS = 30.0
AT_ONCE = 1000
SUCCESS = range(200, 300)
TIMEOUT = aiohttp.ClientTimeout(15.0)

_RETRY = procrastinate.RetryStrategy(max_attempts=3, exponential_wait=5)


class DeliveryFailed(Exception):
    """The endpoint answered with anything but 2xx."""


def prepare(database_url: str) -> None:
    """Make the database and procrastinate's tables."""
    uvloop.run(_prepare(database_url))


async def _prepare(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close()
    app = _app(database_url, connections=1)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


def deliver(
    database_url: str, workers: int, in_flight: int, made: Sequence[Post], arrived: Callable[[], Arrived]
) -> Arrived:
    """Queue all, then let workers begin; returns what arrived.

    Args:
        database_url: of the server's own database; `prepare` was called for it.
        workers: processes.
        in_flight: jobs under way, of all workers together.
        made: what to post.
        arrived: waits until all have arrived.

    Raises:
        CompanionFailed: not every job was recorded as done.
    """
    alone(QUEUE_SECONDS, queue, database_url, made)
    with ExitStack() as stack:
        working = [stack.enter_context(Companion(work, database_url, in_flight // workers)) for _ in range(workers)]
        for one in working:
            one.hear(START_SECONDS)
        for one in working:
            one.tell("go")
        came = arrived()
        for one in working:
            one.hear(RECORD_SECONDS)
    recorded = uvloop.run(_clear(database_url))
    if recorded != len(made):
        raise CompanionFailed(f"procrastinate recorded {recorded} of {len(made)} jobs as done")
    return came


def queue(database_url: str, made: Sequence[Post]) -> None:
    """Queue all."""
    uvloop.run(_queue(database_url, made))


async def _queue(database_url: str, made: Sequence[Post]) -> None:
    app = _app(database_url, connections=1)
    task = app.configure_task("post")
    async with app.open_async():
        for start in range(0, len(made), AT_ONCE):
            batch = made[start : start + AT_ONCE]
            await task.batch_defer_async(*map(msgspec.structs.asdict, batch))
    connection = await asyncpg.connect(_url(database_url))
    await connection.execute("VACUUM (ANALYZE) procrastinate_jobs, procrastinate_events")
    await connection.close()


def work(pipe: Connection, database_url: str, concurrency: int) -> None:
    """A companion's work: make ready, tell so, wait for a word, work until nothing is queued, tell so."""
    uvloop.run(_work(pipe, database_url, concurrency))


async def _work(pipe: Connection, database_url: str, concurrency: int) -> None:
    app = _app(database_url, connections=concurrency)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT) as session,
        app.open_async(),
    ):

        async def post(url: str, message_id: str, body: str) -> int:
            data = body.encode()
            headers = posts.headers(message_id, data)
            async with session.post(url, data=data, headers=headers, allow_redirects=False) as response:
                await response.read()
            if response.status not in SUCCESS:
                raise DeliveryFailed(response.status)
            return response.status

        app.task(name="post", retry=_RETRY)(post)
        pipe.send("ready")
        await told(pipe)
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False)
        pipe.send("done")


async def _clear(database_url: str) -> int:
    """Empty the tables; returns how many jobs were done."""
    connection = await asyncpg.connect(_url(database_url))
    done: int = await connection.fetchval("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
    await connection.execute("TRUNCATE procrastinate_jobs, procrastinate_events CASCADE")
    await connection.close()
    return done


def _app(database_url: str, *, connections: int) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(conninfo=_url(database_url), min_size=1, max_size=connections)
    return procrastinate.App(connector=connector)


def _url(database_url: str) -> str:
    return urlsplit(database_url)._replace(path=f"/{DATABASE}").geturl()
