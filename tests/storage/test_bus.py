"""The bus's client: news as it is told, and a reader that can be stopped at any moment."""

import asyncio

import pytest

from server.stores import Stores
from storage.bus import Bus, News


async def test_news_reaches_a_listener(stores: Stores) -> None:
    teller, listener = Bus(stores.redis_url), Bus(stores.redis_url)
    heard = aiter(listener.listen())
    assert await anext(heard) is None, "the subscription stands"
    news = News(partition=3, events=[], tests=[], resync=True)
    await teller.publish(news)
    async with asyncio.timeout(10):
        while (told := await anext(heard)) is None:
            pass
    assert told == news
    await teller.close()
    await listener.close()


@pytest.mark.parametrize("steps", range(12))
async def test_a_listener_is_cancelled_at_whatever_step_of_connecting_it_is(stores: Stores, steps: int) -> None:
    bus = Bus(stores.redis_url)

    async def listen() -> None:
        async for _ in bus.listen():
            pass

    listening = asyncio.create_task(listen())
    for _ in range(steps):
        await asyncio.sleep(0)
    listening.cancel()
    await asyncio.wait([listening], timeout=10)
    assert listening.cancelled()
    await bus.close()
