"""Deliveries by Celery, with the server's own Valkey as its broker and for its results."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep
from urllib.parse import urlsplit

import msgspec
from redis import Redis

from benchmarks.companions import LEAVE_SECONDS, CompanionFailed, alone
from benchmarks.posts import Post
from benchmarks.receiver import Arrived
from benchmarks.serving import ROOT

ENQUEUE_SECONDS = 300.0
RECORD_SECONDS = 30.0
BROKER = 1
RESULTS = 2
"""Databases of their own in Valkey; the server uses 0."""


class Pool(msgspec.Struct, frozen=True):
    """A way to run Celery: so many workers, each with so many processes, threads or greenlets."""

    name: str
    workers: int
    concurrency: int


def pools(processes: int, in_flight: int) -> list[Pool]:
    """Its ways to work with so many processes; the last two have as many requests under way as wanted."""
    each = in_flight // processes
    return [
        Pool("prefork", 1, processes),
        Pool("threads", processes, each),
        Pool("gevent", processes, each),
    ]


def deliver(redis_url: str, pool: Pool, made: Sequence[Post], arrived: Callable[[], Arrived]) -> Arrived:
    """Queue all, then start workers; returns what arrived.

    Args:
        redis_url: of the server's Valkey.
        pool: how to work.
        made: what to post.
        arrived: waits until all have arrived.

    Raises:
        CompanionFailed: not every result was recorded.
    """
    socket = urlsplit(redis_url).path
    urls = {
        "CELERY_BROKER_URL": f"redis+socket://{socket}?virtual_host={BROKER}",
        "CELERY_RESULT_BACKEND": f"redis+socket://{socket}?virtual_host={RESULTS}",
    }
    with (
        Redis(unix_socket_path=socket, db=BROKER) as broker,
        Redis(unix_socket_path=socket, db=RESULTS) as results,
    ):
        alone(ENQUEUE_SECONDS, enqueue, urls, made)
        with _workers(urls, pool):
            came = arrived()
            _until_recorded(results, len(made))
        broker.flushdb()
        results.flushdb()
    return came


def enqueue(urls: dict[str, str], made: Sequence[Post]) -> None:
    """Queue all."""
    os.environ |= urls
    from benchmarks.celery_tasks import post  # noqa: PLC0415 - it reads its URLs from the environment

    for one in made:
        post.delay(one.url, one.message_id, one.body)


@contextmanager
def _workers(urls: dict[str, str], pool: Pool) -> Iterator[None]:
    with ExitStack() as stack:
        for number in range(pool.workers):
            stack.enter_context(_worker(urls, pool, number))
        yield


@contextmanager
def _worker(urls: dict[str, str], pool: Pool, number: int) -> Iterator[None]:
    options = ("--pool", pool.name, "--concurrency", str(pool.concurrency), "--hostname", f"worker{number}@%h")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR")
    # Celery warns of running as root, which a container does and which changes nothing here.
    python = (sys.executable, "-W", "ignore:You're running the worker with superuser privileges")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*python, "-m", "celery", "--quiet", "--app", "benchmarks.celery_tasks", "worker", *options, *quiet],
        cwd=ROOT,
        env=os.environ | urls,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_recorded(results: Redis, amount: int) -> None:
    end = monotonic() + RECORD_SECONDS
    while (recorded := results.dbsize()) < amount:
        if monotonic() > end:
            raise CompanionFailed(f"Celery recorded {recorded} of {amount} results")
        sleep(0.05)
