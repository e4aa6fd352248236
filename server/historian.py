"""The historian: brings the results of executions that ended into history, beside all else that a server does."""

import asyncio
from datetime import UTC, datetime

import structlog

from orchestrator.errors import TMSError
from storage import digests, postgres, retention
from storage.postgres import DirectConnection

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 60.0
RESTS = 2
"""Seconds of rest for each second of work."""


class Historian:
    """Digests one execution after the other, and rests twice as long after each as it took.

    So it takes a third of a core of the database at the most, and what it has not come to waits there. There may be as
    many historians as there are servers.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._left_alone: dict[str, float] = {}

    async def work(self) -> None:
        """Until cancelled; it goes on when a database that went away is there again."""
        while True:
            try:
                async with postgres.connected(self._database_url) as connection:
                    while True:
                        rest = await self._digest_next(connection)
                        await asyncio.sleep(rest)
            except (TMSError, OSError, postgres.DatabaseError) as error:
                log.warning("history waits for the database", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

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
