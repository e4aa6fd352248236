"""The bus: news of committed changes, from owners to gateways and couriers, over Valkey (Redis protocol).

It may lose messages; Postgres may not. So a message only says what is there to be sent on at once. A `resync` tells
every gateway to look into the log for what it may have missed; couriers look for due rows by themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_CHANNEL = "tms:live"
_DUE_CHANNEL = "tms:due:{}"

T = TypeVar("T")


class EventNews(msgspec.Struct, frozen=True, array_like=True):
    """One committed event, with what live readers filter by; `frame` is the finished frame."""

    tenant_id: int
    execution_id: str
    seq: int
    test_suite: str
    environment: str
    status: str
    frame: bytes


class TestsNews(msgspec.Struct, frozen=True, array_like=True):
    """One committed submission with single tests; its frames are made from its rows where somebody wants them."""

    tenant_id: int
    execution_id: str
    submission_id: str
    shard_id: str
    first_frame: int
    tests: int


class News(msgspec.Struct, frozen=True, array_like=True):
    """All news of one commit of a partition, in order.

    Attributes:
        resync: messages before this one may be lost.
        committed_at: seconds since 1970, by the clock of the owner's machine; None where nothing was committed.
    """

    partition: int
    events: list[EventNews]
    tests: list[TestsNews]
    resync: bool = False
    committed_at: float | None = None


BusError = (RedisError, OSError)

_encoder = msgspec.msgpack.Encoder()
_news = msgspec.msgpack.Decoder(News)
_webhook_ids = msgspec.msgpack.Decoder(list[str])


class Bus:
    """One client of the bus.

    Raises:
        BusError: by every method, where the bus is away.
    """

    def __init__(self, url: str) -> None:
        # Without retries: one that connects again by itself would hide that news was lost in between.
        never = Retry(NoBackoff(), 0)
        self._redis = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5, retry=never)

    async def publish(self, news: News) -> None:
        """Tell every gateway."""
        with cancellable():
            await self._redis.publish(_CHANNEL, _encoder.encode(news))

    def listen(self) -> AsyncIterator[News | None]:
        """News as it comes; None once at the start, when the subscription stands, and in quiet moments."""
        return self._messages(_CHANNEL, _news.decode)

    async def publish_due(self, couriers: Mapping[int, Collection[str]]) -> None:
        """Tell each courier which webhooks it has something due for."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for courier, webhook_ids in couriers.items():
                pipeline.publish(_DUE_CHANNEL.format(courier), _encoder.encode(list(webhook_ids)))
            with cancellable():
                await pipeline.execute()

    def listen_due(self, courier: int) -> AsyncIterator[list[str] | None]:
        """The webhooks that a courier is told of, as they come; None as in `listen`."""
        return self._messages(_DUE_CHANNEL.format(courier), _webhook_ids.decode)

    async def _messages(self, channel: str, decode: Callable[[bytes], T]) -> AsyncIterator[T | None]:
        async with self._redis.pubsub(ignore_subscribe_messages=False) as subscription:
            with cancellable():
                await subscription.subscribe(channel)
            while True:
                with cancellable():
                    message = await subscription.get_message(timeout=1.0)
                yield None if message is None or message["type"] != "message" else decode(message["data"])

    async def ping(self) -> None:
        """Prove that it answers."""
        with cancellable():
            await self._redis.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()


@contextmanager
def cancellable() -> Iterator[None]:
    """Let a cancellation take effect: redis-py loses one that comes while it connects, and would go on for ever."""
    try:
        yield
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
