"""Readers of a hub on a log in memory."""

from contextlib import AsyncExitStack

from gateway.live.endpoint import all_executions, one_execution
from gateway.live.frames import Frame, Kind
from gateway.live.hub import Hub
from gateway.live.sinks import Sink
from gateway.live.subscriber import Subscriber
from gateway.live.tenant import View
from gateway.wire.live import ExecutionLiveQuery
from tests.live.memory import TENANT, MemorySink


class Reader:
    """One reader and what it got."""

    def __init__(self, hub: Hub, tenant: int = TENANT, sink: Sink | None = None) -> None:
        self.sink = MemorySink()
        self.subscriber = Subscriber(sink or self.sink, hub.measures)
        self._tenant = hub.tenant(tenant)
        self._stack = AsyncExitStack()

    async def watch(self, execution_id: str, query: ExecutionLiveQuery | None = None) -> "Reader":
        """Watch one execution."""
        chosen = query or ExecutionLiveQuery()
        tracks = one_execution(self._tenant, self.subscriber, execution_id, chosen)
        self.subscriber.start(await self._stack.enter_async_context(tracks))
        return self

    async def follow(self, view: View | None = None) -> "Reader":
        """Watch all executions."""
        tracks = all_executions(self._tenant, self.subscriber, view or View())
        self.subscriber.start(await self._stack.enter_async_context(tracks))
        return self

    async def leave(self) -> None:
        """Leave."""
        await self._stack.aclose()
        await self.subscriber.stop()

    def numbers(self, *kinds: Kind) -> list[int]:
        """The numbers of the frames of these kinds, in the order they came."""
        return [frame.number for frame in self.sink.of(*kinds)]


def last_in_order(frames: list[Frame], begin: int | None) -> int | None:
    """The last number, once it is sure that each followed the one before it; a snapshot may jump ahead.

    Args:
        frames: of one execution, events and snapshots or tests.
        begin: the number before the first; None if it has to be a snapshot or the very first event.
    """
    last = begin
    for frame in frames:
        if frame.kind is Kind.SNAPSHOT:
            assert last is None or frame.number > last
        else:
            assert frame.number == (last or 0) + 1
        last = frame.number
    return last
