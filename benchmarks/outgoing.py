"""Has the server deliver, and knows what has to have arrived and to be recorded."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import asyncpg
import uvloop

from benchmarks import committing
from benchmarks.companions import alone
from benchmarks.receiver import Arrived, Receiver
from benchmarks.serving import Server
from orchestrator.webhooks.model import Webhook

START_SECONDS = 30.0
ARRIVE_SECONDS = 120.0
RECORD_SECONDS = 10.0
LOOK_SECONDS = 0.05

_PENDING = "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND webhook_id = ANY($1)"

_NOT_AS_IT_WENT = """
SELECT count(*) FROM webhook_deliveries AS d WHERE webhook_id = ANY($1) AND (status <> 'delivered'
    OR (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id) <> 1)
"""


class Outgoing:
    """Deliveries of a server to a receiver: to endpoints that all work, beside some that do not.

    Attributes:
        hung: how many requests were left without an answer so far.
    """

    def __init__(self, server: Server, receiver: Receiver) -> None:
        self._server = server
        self._receiver = receiver
        self._healthy: set[str] = set()
        self.hung = 0
        self._missing = 0
        self._repeated = 0

    def backlog(self, healthy: Sequence[Webhook], each: int, *, dead: Sequence[Webhook] = ()) -> Arrived:
        """Commit so many deliveries to each endpoint at once; returns what arrived."""
        server = self._server
        committing.commit(server.database_url, server.redis_url, [*healthy, *dead] * each)
        return self.arrived(healthy, each * len(healthy))

    def steady(
        self, healthy: Sequence[Webhook], rate: float, seconds: float, *, dead: Sequence[Webhook] = ()
    ) -> list[float]:
        """Commit deliveries to each endpoint at a rate; returns milliseconds from each commit to the arrival."""
        server = self._server
        work = (server.database_url, server.redis_url, healthy, dead, rate, seconds)
        committed = alone(START_SECONDS + seconds, committing.offer, *work)
        came = self.arrived(healthy, len(committed))
        return [1000 * (moment - committed[message_id]) for message_id, moment in came.moments.items()]

    def arrived(self, healthy: Sequence[Webhook], amount: int) -> Arrived:
        """Wait for so many deliveries and until they are recorded, and keep the books on them."""
        came = self._receiver.arrived(amount, ARRIVE_SECONDS)
        self._healthy.update(webhook.webhook_id for webhook in healthy)
        uvloop.run(_until_recorded(self._server.database_url, list(self._healthy)))
        self.hung += came.hung
        self._missing += amount - len(came.moments)
        self._repeated += came.repeated
        return came

    def check(self) -> dict[str, int]:
        """Compare with what the database has; every number has to be 0."""
        wrong = uvloop.run(_not_as_it_went(self._server.database_url, list(self._healthy)))
        return {
            "deliveries that did not arrive": self._missing,
            "deliveries that arrived twice": self._repeated,
            "deliveries that are not recorded, or with other than one attempt": wrong,
        }


async def _until_recorded(database_url: str, webhook_ids: list[str]) -> None:
    """Wait, but not for ever: `check` finds what is missing."""
    end = monotonic() + RECORD_SECONDS
    connection = await asyncpg.connect(database_url)
    while await connection.fetchval(_PENDING, webhook_ids) and monotonic() < end:  # noqa: ASYNC110 - what another process commits sets no event here
        await asyncio.sleep(LOOK_SECONDS)
    await connection.close()


async def _not_as_it_went(database_url: str, webhook_ids: list[str]) -> int:
    connection = await asyncpg.connect(database_url)
    wrong: int = await connection.fetchval(_NOT_AS_IT_WENT, webhook_ids)
    await connection.close()
    return wrong
