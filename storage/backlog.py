"""How much waits to be delivered, for those who watch over the server."""

from datetime import datetime

import msgspec

from storage.postgres import Connection

MOST = 10_000
"""Deliveries that are counted; what is there beyond them costs nothing and says nothing more."""


class Backlog(msgspec.Struct, frozen=True):
    """Deliveries of a courier's active webhooks that are due.

    Attributes:
        due: how many, `MOST` at the most.
        oldest_seconds: since when the first of them is due, of those to endpoints that are not failing: what waits for
            an endpoint that is broken tells nothing about the server.
    """

    due: int
    oldest_seconds: float


NO_BACKLOG = Backlog(0, 0.0)

# Both read the index of each webhook's pending deliveries from its start, so that neither reads a whole backlog.
_DUE = """
SELECT count(*) FROM (
    SELECT 1 FROM webhooks AS w CROSS JOIN LATERAL (
        SELECT 1 FROM webhook_deliveries AS d
        WHERE d.webhook_id = w.webhook_id AND d.status = 'pending' AND d.due_at <= $2 LIMIT $3
    ) AS lane WHERE w.courier = $1 AND w.status = 'active' AND w.deleted_at IS NULL LIMIT $3
) AS counted
"""
_OLDEST = """
SELECT min(head.due_at) FROM webhooks AS w CROSS JOIN LATERAL (
    SELECT d.due_at FROM webhook_deliveries AS d
    WHERE d.webhook_id = w.webhook_id AND d.status = 'pending' ORDER BY d.due_at LIMIT 1
) AS head WHERE w.courier = $1 AND w.status = 'active' AND w.deleted_at IS NULL AND w.failing_since IS NULL
"""


async def backlog(connection: Connection, courier: int, now: datetime) -> Backlog:
    """What waits for a courier now."""
    due: int = await connection.fetchval(_DUE, courier, now, MOST)
    oldest: datetime | None = await connection.fetchval(_OLDEST, courier)
    return Backlog(due, 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
