"""Requests under way, so that a server that stops can finish them.

The framework's own end takes no more bytes from any connection, so a request whose body is still coming would be lost.
"""

import asyncio

from aiohttp import web


class UnderWay:
    """Counts the requests that are being answered.

    Attributes:
        is_stopping: whether connections are closed after their answer.
        number: of requests that are being answered now.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self.number = 0
        self._none = asyncio.Event()

    def enter(self) -> None:
        """A request has come."""
        self.number += 1

    def leave(self) -> None:
        """A request is answered."""
        self.number -= 1
        if self.number == 0:
            self._none.set()

    async def finish(self) -> None:
        """Wait until none is left; whoever is answered from now on is told to come back over another connection."""
        self.is_stopping = True
        while self.number > 0:
            self._none.clear()
            await self._none.wait()


UNDER_WAY = web.AppKey("under_way", UnderWay)
