"""Whatever the bus does with its messages: each reader gets each number once and in order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gateway.live.frames import Kind
from gateway.live.hub import Hub
from gateway.live.measures import LiveMeasures
from gateway.live.subscriber import TOO_SLOW
from gateway.wire.live import ExecutionLiveQuery
from orchestrator.errors import Unavailable
from storage.bus import Bus, News
from tests.live.memory import MemoryLog, settle
from tests.live.reading import Reader, last_in_order

EXECUTIONS = ("exec_a", "exec_b", "exec_c", "exec_d")
PRESENT = EXECUTIONS[:2]
"""Those that are there from the beginning; the others come when they are first committed."""

T = TypeVar("T")


class World:
    """A log, a bus that does what a plan says, a hub, and readers; each method is something that may happen."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.hub = Hub(self.log, Bus("redis://localhost:1"), LiveMeasures(CollectorRegistry()))
        self.under_way: list[News] = []
        self.readers: list[tuple[Reader, str | None, int | None, int | None]] = []
        self.going_on: list[asyncio.Task[None]] = []
        for execution_id in PRESENT:
            self.commit(execution_id, 1, 0)

    def commit(self, execution_id: str, events: int, tests: int) -> None:
        self.under_way.append(self.log.commit(execution_id, events, tests))

    def commit_and_deliver(self, execution_id: str, events: int, tests: int) -> None:
        self.hub._tell(self.log.commit(execution_id, events, tests))

    def deliver(self, index: int, again: bool) -> None:  # noqa: FBT001 - drawn by position
        if self.under_way:
            news = self.under_way.pop(index % len(self.under_way))
            self.hub._tell(news)
            if again:
                self.under_way.append(news)

    def lose(self, index: int) -> None:
        if self.under_way:
            self.under_way.pop(index % len(self.under_way))

    def look(self) -> None:
        self._go_on(persistently(self.hub._look))

    def watch(self, execution_id: str, after: int | None, tests_after: int | None) -> None:
        if execution_id in self.log.events_of:
            self._go_on(self._watch(execution_id, after, tests_after))

    def follow(self) -> None:
        self._go_on(self._follow())

    def leave(self, index: int) -> None:
        if self.readers:
            reader, *_ = self.readers.pop(index % len(self.readers))
            self._go_on(reader.leave())

    def block(self, index: int) -> None:
        if self.readers:
            self.readers[index % len(self.readers)][0].sink.room.clear()

    def unblock(self, index: int) -> None:
        if self.readers:
            self.readers[index % len(self.readers)][0].sink.room.set()

    def lose_database(self, times: int) -> None:
        self.log.failures = times

    async def end(self) -> None:
        """The bus says that something was lost, and everybody has the time to read."""
        self.log.failures = 0
        await asyncio.gather(*self.going_on)
        for reader, *_ in self.readers:
            reader.sink.room.set()
        await settle()
        await self.hub._look()
        await settle()

    def check(self) -> None:
        for reader, execution_id, after, tests_after in self.readers:
            if execution_id is None:
                for one, newest in self.log.events_of.items():
                    frames = [frame for frame in reader.sink.frames if frame.execution_id == one]
                    self._check(reader, last_in_order(frames, None), newest)
                continue
            events = last_in_order(reader.sink.of(Kind.SNAPSHOT, Kind.EVENT), after)
            self._check(reader, events, self.log.events_of[execution_id])
            if tests_after is not None:
                tests = last_in_order(reader.sink.of(Kind.TESTS), tests_after)
                self._check(reader, tests, self.log.tests_of[execution_id])

    @staticmethod
    def _check(reader: Reader, last: int | None, newest: int) -> None:
        verdict = reader.subscriber.verdict
        assert verdict.result() == TOO_SLOW if verdict.done() else last == newest

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it while other things happen."""
        self.going_on.append(asyncio.create_task(work))

    async def _watch(self, execution_id: str, after: int | None, tests_after: int | None) -> None:
        resumed = None if after is None else min(after, self.log.events_of[execution_id])
        resumed_tests = None if tests_after is None else min(tests_after, self.log.tests_of[execution_id])
        query = ExecutionLiveQuery(after=resumed, tests=tests_after is not None, tests_after=resumed_tests)
        reader = await persistently(lambda: Reader(self.hub).watch(execution_id, query))
        self.readers.append((reader, execution_id, resumed, resumed_tests))

    async def _follow(self) -> None:
        self.readers.append((await persistently(lambda: Reader(self.hub).follow()), None, None, None))


async def persistently(work: Callable[[], Awaitable[T]]) -> T:
    """Try until the database is there."""
    while True:
        try:
            return await work()
        except Unavailable:
            continue


executions = st.sampled_from(EXECUTIONS)
which = st.integers(0, 9)
actions = st.one_of(
    st.tuples(st.just(World.commit), executions, st.integers(1, 7), st.integers(0, 3)),
    st.tuples(st.just(World.commit_and_deliver), executions, st.integers(1, 2), st.integers(0, 1)),
    st.tuples(st.just(World.deliver), which, st.booleans()),
    st.tuples(st.just(World.lose), which),
    st.tuples(st.just(World.look)),
    st.tuples(st.just(World.watch), executions, st.none() | which, st.none() | which),
    st.tuples(st.just(World.follow)),
    st.tuples(st.just(World.leave), which),
    st.tuples(st.just(World.block), which),
    st.tuples(st.just(World.unblock), which),
    st.tuples(st.just(World.lose_database), st.integers(1, 3)),
)
# How far everything else gets before the next action: not at all, some of the way, or to the end.
pauses = st.sampled_from((0, 0, 1, 2, 3, 5, 8, 60))
Plan = list[tuple[tuple[Any, ...], int]]


async def carry_out(plan: Plan) -> None:
    world = World()
    for (act, *arguments), pause in plan:
        act(world, *arguments)
        for _ in range(pause):
            await asyncio.sleep(0)
    await world.end()
    try:
        world.check()
    finally:
        for reader, *_ in world.readers:
            await reader.leave()
        await world.hub.close()


@settings(max_examples=400)
@given(st.lists(st.tuples(actions, pauses), min_size=1, max_size=60))
def test_each_reader_gets_each_number_once_and_in_order(plan: Plan) -> None:
    asyncio.run(carry_out(plan))
