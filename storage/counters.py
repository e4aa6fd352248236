"""Counters that all gateways share, in Valkey: how often somebody has asked for something in a window of time."""

from redis.asyncio import Redis

from storage.bus import cancellable


class Counters:
    """One client of the counters.

    Raises:
        BusError: by every method, where Valkey is away.
    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)

    async def count(self, key: str, seconds: int) -> tuple[int, int]:
        """Count one more in a window, which begins with the first and lasts so many seconds.

        Returns:
            How many there are in it now, and the seconds until it ends.
        """
        async with self._redis.pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, seconds, nx=True)
            pipeline.ttl(key)
            with cancellable():
                number, _, left = await pipeline.execute()
        return int(number), int(left)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
