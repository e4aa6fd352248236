"""Waiting for what another process does, where there is no event to wait for."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.02


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until it holds; fail if it does not in time."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - another process gives no event
            await asyncio.sleep(LOOK_SECONDS)
