"""Commits deliveries as owners of executions do: rows in a transaction, then word to the couriers."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from time import monotonic

import asyncpg
import uvloop

from benchmarks import posts
from orchestrator import ids
from orchestrator.webhooks import messages
from orchestrator.webhooks.model import DeliveryStatus, Webhook
from storage import deliveries
from storage.bus import Bus
from storage.deliveries import DeliveryRow, MessageRow
from storage.postgres import Connection

TICK_SECONDS = 0.02


def commit(database_url: str, redis_url: str, to: Sequence[Webhook]) -> None:
    """Commit one delivery for each, all at once."""
    uvloop.run(_commit(database_url, redis_url, to))


async def _commit(database_url: str, redis_url: str, to: Sequence[Webhook]) -> None:
    async with _desk(database_url, redis_url) as desk:
        await desk.commit(to)
        await desk.tell(to)


def offer(
    database_url: str, redis_url: str, healthy: Sequence[Webhook], dead: Sequence[Webhook], rate: float, seconds: float
) -> dict[str, float]:
    """Commit deliveries at a steady rate, some with every tick.

    Args:
        database_url: of the server.
        redis_url: of the server.
        healthy: endpoints that work.
        dead: endpoints that get as many, and do not work.
        rate: deliveries a second to each.
        seconds: how long.

    Returns:
        When each message to an endpoint that works was committed, by the monotonic clock.
    """
    return uvloop.run(_offer(database_url, redis_url, healthy, dead, rate, seconds))


async def _offer(
    database_url: str, redis_url: str, healthy: Sequence[Webhook], dead: Sequence[Webhook], rate: float, seconds: float
) -> dict[str, float]:
    committed: dict[str, float] = {}
    groups = [(cycle(group), rate * len(group)) for group in (healthy, dead)]
    sent = [0, 0]
    async with _desk(database_url, redis_url) as desk:
        start = monotonic()
        while (elapsed := monotonic() - start) < seconds:
            amounts = [int(elapsed * total) - before for (_, total), before in zip(groups, sent, strict=True)]
            to = [one for (group, _), amount in zip(groups, amounts, strict=True) for one in islice(group, amount)]
            if to:
                message_ids = await desk.commit(to)
                committed |= dict.fromkeys(message_ids[: amounts[0]], monotonic())
                await desk.tell(to)
            sent = [before + amount for before, amount in zip(sent, amounts, strict=True)]
            await asyncio.sleep(TICK_SECONDS - (monotonic() - start) % TICK_SECONDS)
    return committed


class _Desk:
    def __init__(self, connection: Connection, bus: Bus) -> None:
        self._connection = connection
        self._bus = bus

    async def commit(self, to: Sequence[Webhook]) -> list[str]:
        """Commit a message and its delivery for each; returns the ids of the messages."""
        now = datetime.now(UTC)
        body = messages.sample(posts.EVENT, now)
        rows = [MessageRow(ids.new_id("msg", now), one.tenant_id, posts.EVENT, None, body, now) for one in to]
        pending = [
            DeliveryRow(
                ids.new_id("dlv", now),
                row.tenant_id,
                webhook.webhook_id,
                row.message_id,
                row.event,
                row.execution_id,
                DeliveryStatus.PENDING,
                now,
            )
            for webhook, row in zip(to, rows, strict=True)
        ]
        async with self._connection.transaction():
            await deliveries.write(self._connection, rows, pending)
        return [row.message_id for row in rows]

    async def tell(self, to: Sequence[Webhook]) -> None:
        """Tell the couriers."""
        due: dict[int, set[str]] = defaultdict(set)
        for webhook in to:
            due[webhook.courier].add(webhook.webhook_id)
        await self._bus.publish_due(due)


@asynccontextmanager
async def _desk(database_url: str, redis_url: str) -> AsyncIterator[_Desk]:
    connection = await asyncpg.connect(database_url)
    bus = Bus(redis_url)
    try:
        yield _Desk(connection, bus)
    finally:
        await bus.close()
        await connection.close()
