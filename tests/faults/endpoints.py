"""Endpoints that fail at random, verify what they get, and keep books of all that came and how it was answered."""

import asyncio
import math
import random
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from standardwebhooks import WebhookVerificationError

from tests.patience import PATIENCE_SECONDS
from tests.receiver import RESET, Arrival, Receiver, Reply

SECRET = "a secret of all endpoints"
WORK_SECONDS = 0.01
"""What a request takes at the most, so that some are under way whenever something is killed."""

_WEIGHTS = {200: 8, 500: 1, RESET.status: 1}


@dataclass
class Entry:
    """One request in the books.

    Attributes:
        number: its place in them. It is the body of the answer, so that an attempt in the server's log tells which
            request it was.
        event: its body as the published library gives it; None if it was not signed with `SECRET`.
        status: of the answer; `RESET.status` where the connection was reset, None while it is not decided.
        answered_at: when that was, in monotonic seconds.
    """

    number: int
    arrival: Arrival
    event: Any = None
    status: int | None = None
    answered_at: float = math.inf

    @property
    def is_success(self) -> bool:
        """Whether the endpoint took it."""
        return self.status == 200


class Endpoints:
    """The paths of one receiver; its coroutines are for the loop that the receiver runs on.

    Attributes:
        entries: all requests, in the order in which they came.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.entries: list[Entry] = []
        self._receiver = receiver
        self._paths_held: Collection[str] = ()
        self._held: list[Entry] = []
        self._room = 0
        self._is_full = asyncio.Event()
        self._is_released = asyncio.Event()

    def opened(self, path: str) -> str:
        """The URL of a path that is an endpoint from now on."""
        self._receiver.follow(path, self._answer)
        return self._receiver.url(path)

    async def hold(self, paths: Collection[str], number: int) -> list[Entry]:
        """Leave the next so many requests to these paths without an answer; returns once they have come."""
        self._paths_held, self._room, self._held = paths, number, []
        self._is_full.clear()
        self._is_released.clear()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._is_full.wait()
        return self._held

    async def release(self) -> None:
        """Answer what is held: with a failure."""
        self._is_released.set()

    async def _answer(self, arrival: Arrival) -> Reply:
        entry = Entry(len(self.entries), arrival)
        self.entries.append(entry)
        with suppress(WebhookVerificationError):
            entry.event = arrival.verified(SECRET)
        entry.status = await self._decide(entry)
        entry.answered_at = monotonic()
        return RESET if entry.status == RESET.status else Reply(entry.status, body=str(entry.number).encode())

    async def _decide(self, entry: Entry) -> int:
        if self._room and entry.arrival.path in self._paths_held:
            self._room -= 1
            self._held.append(entry)
            if not self._room:
                self._is_full.set()
            await self._is_released.wait()
            return 500
        await asyncio.sleep(random.uniform(0, WORK_SECONDS))  # noqa: S311 - guards nothing
        (status,) = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))  # noqa: S311 - guards nothing
        return status
