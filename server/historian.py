"""The historian: brings the results of executions that ended into history, beside all else that a server does."""

import asyncio
from datetime import UTC, datetime

import structlog
from prometheus_client import Gauge

from orchestrator.errors import TMSError
from storage import digests, postgres, retention
from storage.postgres import DirectConnection

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 60.0
COUNT_SECONDS = 30.0
MOST_WAITING = 10_000
RESTS = 2
"""Seconds of rest for each second of work."""


class Historian:
    """Digests one execution after the other, and rests twice as long after each as it took.

    So it takes a third of a core of the database at the most, and what it has not come to waits there. There may be as
    many historians as there are servers.

    Attributes:
        waiting: how many executions it has not come to.
    """

    def __init__(self, database_url: str) -> None:
        self.waiting = Gauge(
            "tms_history_waiting_executions", "Executions that ended and are not in history yet", registry=None
        )
        self._database_url = database_url
        self._left_alone: dict[str, float] = {}
        self._count_at = 0.0

    async def work(self) -> None:
        """Until cancelled; it goes on when a database that went away is there again."""
        while True:
            try:
                async with postgres.connected(self._database_url) as connection:
                    while True:
                        await self._count(connection)
                        rest = await self._digest_next(connection)
                        await asyncio.sleep(rest)
            except (TMSError, OSError, postgres.DatabaseError) as error:
                log.warning("history waits for the database", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def _count(self, connection: DirectConnection) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self.waiting.set(await digests.waiting(connection, MOST_WAITING))

    async def _digest_next(self, connection: DirectConnection) -> float:
        """Digest an execution if there is one; returns how many seconds to rest.

        One that cannot be digested is left alone for a while, so that it holds up no other.
        """
        clock = asyncio.get_running_loop().time
        began, execution = clock(), None
        now = datetime.now(UTC)
        self._left_alone = {one: until for one, until in self._left_alone.items() if until > began}
        try:
            async with connection.transaction():
                execution = await digests.claim(connection, list(self._left_alone))
                if execution is not None:
                    await digests.digest(connection, execution, oldest=retention.history_begins(now), now=now)
        except postgres.DatabaseError as error:
            if execution is None or connection.is_closed():
                raise
            self._left_alone[execution.execution_id] = clock() + AGAIN_SECONDS
            log.warning("an execution cannot be digested", execution_id=execution.execution_id, error=str(error))
        if execution is None and not await digests.register(connection):
            return LOOK_SECONDS
        return RESTS * (clock() - began)
