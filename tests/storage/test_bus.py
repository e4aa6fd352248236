"""The bus's client: what is told arrives, and a reader can be stopped at any moment."""

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


async def test_each_courier_is_told_of_its_own_webhooks(stores: Stores) -> None:
    teller, listener = Bus(stores.redis_url), Bus(stores.redis_url)
    heard = aiter(listener.listen_due(7))
    assert await anext(heard) is None, "the subscription stands"
    await teller.publish_due({})
    await teller.publish_due({6: ["wh_other"], 7: ["wh_1", "wh_2"]})
    await teller.publish_due({7: {"wh_3"}})
    told: list[str] = []
    async with asyncio.timeout(10):
        while len(told) < 3:
            webhook_ids = await anext(heard)
            told += webhook_ids or ()
    assert told == ["wh_1", "wh_2", "wh_3"]
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
