"""The statement with which a courier reads what is due, with few pending rows and with very many."""

from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic

import asyncpg
import msgspec
import uvloop

from actors.lanes import PREFETCH
from benchmarks import filling, posts, registry
from benchmarks.companions import alone
from benchmarks.figures import Figure, figure, median
from benchmarks.serving import Server
from benchmarks.steps import Steps
from benchmarks.webhook_scale import Scale
from orchestrator.webhooks import messages
from orchestrator.webhooks.model import Webhook
from storage import deliveries

ENDPOINTS = 20
WARM = 20
CLAIM_SECONDS = 300.0
MOST = 2

_EMPTY = f"TRUNCATE {filling.DELIVERIES}"

_MESSAGES = """
INSERT INTO webhook_messages (message_id, tenant_id, event, body, created_at)
SELECT 'msg_' || lpad(to_hex(n), 24, '0'), $1, $2, $3, now()
FROM generate_series(0, $4::int - 1) AS n
"""

# The first ones, some of them tried before, go to one endpoint after the other: a claim finds the same in all cases.
_DELIVERIES = """
INSERT INTO webhook_deliveries (delivery_id, tenant_id, webhook_id, message_id, event, status, attempts, tries, due_at,
    created_at)
SELECT 'dlv_' || lpad(to_hex(n), 24, '0'), $1,
    ($3::text[])[CASE WHEN n < $5::int OR NOT $6 THEN n % cardinality($3::text[]) ELSE 0 END + 1],
    'msg_' || lpad(to_hex(n), 24, '0'), $2, 'pending', tried, tried, at, at
FROM generate_series(0, $4::int - 1) AS n,
    LATERAL (SELECT (n < $5::int AND n % 3 = 0)::int AS tried, now() - ($4::int - n) * interval '1 ms' AS at) AS row
ORDER BY n
"""


class Claims(msgspec.Struct):
    """Milliseconds of each claim: of what is due, and of what is due and was tried before."""

    due: list[float] = []
    retries: list[float] = []


def measure(server: Server, scale: Scale, steps: Steps) -> list[Figure]:
    """Few rows before and after many; nobody else claims them, for their webhooks are of no courier."""
    urls = [f"http://127.0.0.1/claimed/{number}" for number in range(ENDPOINTS)]
    webhooks = registry.register(server, urls, is_served=False)
    few, evenly, dead = Claims(), Claims(), Claims()
    for name, amount, is_one_dead, claims in (
        (f"{scale.few:,} pending rows", scale.few, False, few),
        (f"{scale.many:,} pending rows of {ENDPOINTS} endpoints", scale.many, False, evenly),
        (f"{scale.many:,} pending rows, nearly all of one endpoint", scale.many, True, dead),
        (f"{scale.few:,} pending rows again", scale.few, False, few),
    ):
        with steps.step(f"making {name}"):
            uvloop.run(_fill(server.database_url, webhooks, amount, scale.few, is_one_dead=is_one_dead))
            filling.settle(server.database_url, filling.DELIVERIES)
        with steps.step(f"claiming of {name}"):
            found = alone(CLAIM_SECONDS, claim, server.database_url, [one.webhook_id for one in webhooks], scale.claims)
            claims.due += found.due
            claims.retries += found.retries
    uvloop.run(_empty(server.database_url))
    rows = f"{scale.many:,} by {scale.few:,} pending"
    return [
        _compared(f"claim, {rows}, {ENDPOINTS} endpoints", evenly.due, few.due),
        _compared(f"claim, {rows}, nearly all of a dead endpoint", dead.due, few.due),
        _compared(f"claim of retries, {rows}, nearly all of a dead endpoint", dead.retries, few.retries),
    ]


def _compared(name: str, claims: Sequence[float], floors: Sequence[float]) -> Figure:
    return figure(name, median(claims), "ms", floor=median(floors), at_most=MOST)


def claim(database_url: str, webhook_ids: Sequence[str], times: int) -> Claims:
    """Claim as often, for all lanes at once; what is claimed stays pending, so that it is the same each time."""
    return uvloop.run(_claim(database_url, webhook_ids, times))


async def _claim(database_url: str, webhook_ids: Sequence[str], times: int) -> Claims:
    connection = await asyncpg.connect(database_url)
    wanted = dict.fromkeys(webhook_ids, PREFETCH)
    claims = Claims()
    for _ in range(WARM + times):
        for retries_only, taken in ((False, claims.due), (True, claims.retries)):
            began = monotonic()
            await deliveries.due(connection, wanted, datetime.now(UTC), retries_only=retries_only)
            taken.append(1000 * (monotonic() - began))
    await connection.close()
    return Claims(claims.due[WARM:], claims.retries[WARM:])


async def _fill(database_url: str, webhooks: Sequence[Webhook], amount: int, spread: int, *, is_one_dead: bool) -> None:
    """Make pending rows; those after the first `spread` all for one endpoint, or for one after the other too."""
    connection = await asyncpg.connect(database_url)
    tenant_id, body = webhooks[0].tenant_id, messages.sample(posts.EVENT, datetime.now(UTC))
    webhook_ids = [one.webhook_id for one in webhooks]
    await connection.execute(_EMPTY)
    await connection.execute(_MESSAGES, tenant_id, posts.EVENT, body, amount)
    await connection.execute(_DELIVERIES, tenant_id, posts.EVENT, webhook_ids, amount, spread, is_one_dead)
    await connection.close()


async def _empty(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(_EMPTY)
    await connection.close()
