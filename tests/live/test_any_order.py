"""Whatever the bus does with its messages: each reader gets each number once and in order."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.live.frames import Kind
from gateway.live.hub import Hub
from gateway.live.subscriber import TOO_SLOW
from gateway.wire.live import ExecutionLiveQuery
from storage.bus import Bus, News
from tests.live.memory import MemoryLog, settle
from tests.live.reading import Reader, last_in_order

EXECUTIONS = ("exec_a", "exec_b", "exec_c", "exec_d")
PRESENT = EXECUTIONS[:2]
"""Those that are there from the beginning; the others come when they are first committed."""

executions = st.sampled_from(EXECUTIONS)
which = st.integers(min_value=0, max_value=9)
actions = st.one_of(
    st.tuples(st.just("commit"), executions, st.integers(1, 7), st.integers(0, 3)),
    st.tuples(st.just("commit and deliver"), executions, st.integers(1, 2), st.integers(0, 1)),
    st.tuples(st.just("deliver"), which, st.booleans()),
    st.tuples(st.just("lose"), which),
    st.tuples(st.just("look")),
    st.tuples(st.just("watch"), executions, st.none() | which, st.none() | which),
    st.tuples(st.just("follow")),
    st.tuples(st.just("leave"), which),
    st.tuples(st.just("block"), which),
    st.tuples(st.just("unblock"), which),
    st.tuples(st.just("database away"), st.integers(1, 3)),
)
# How far everything else gets before the next action: not at all, some of the way, or to the end.
pauses = st.sampled_from((0, 0, 1, 2, 3, 5, 8, 60))
plans = st.lists(st.tuples(actions, pauses), min_size=1, max_size=60)


class World:
    """A log, a bus that is at nobody's mercy but the test's, a hub, and readers."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.hub = Hub(self.log, Bus("redis://localhost:1"))
        self.under_way: list[News] = []
        self.readers: list[tuple[Reader, str | None, int | None, int | None]] = []
        self.arriving: list[asyncio.Task[None]] = []
        for execution_id in PRESENT:
            self.under_way.append(self.log.commit(execution_id, 1))

    async def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("commit", execution_id, events, tests):
                self.under_way.append(self.log.commit(execution_id, events, tests))
            case ("commit and deliver", execution_id, events, tests):
                self.hub._tell(self.log.commit(execution_id, events, tests))
            case ("deliver", index, again) if self.under_way:
                news = self.under_way.pop(index % len(self.under_way))
                self.hub._tell(news)
                if again:
                    self.under_way.append(news)
            case ("lose", index) if self.under_way:
                self.under_way.pop(index % len(self.under_way))
            case ("look",):
                self.arrive(self.look())
            case ("watch", execution_id, after, tests_after) if execution_id in self.log.events_of:
                self.arrive(self.watch(execution_id, after, tests_after))
            case ("follow",):
                self.arrive(self.follow())
            case ("leave", index) if self.readers:
                reader, *_ = self.readers.pop(index % len(self.readers))
                reader.sink.room.set()
                await reader.leave()
            case ("block", index) if self.readers:
                self.readers[index % len(self.readers)][0].sink.room.clear()
            case ("unblock", index) if self.readers:
                self.readers[index % len(self.readers)][0].sink.room.set()
            case ("database away", times):
                self.log.failures = times

    def arrive(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on with it while other things happen."""
        self.arriving.append(asyncio.create_task(work))

    async def watch(self, execution_id: str, after: int | None, tests_after: int | None) -> None:
        resumed = None if after is None else min(after, self.log.events_of[execution_id])
        resumed_tests = None if tests_after is None else min(tests_after, self.log.tests_of[execution_id])
        query = ExecutionLiveQuery(after=resumed, tests=tests_after is not None, tests_after=resumed_tests)
        reader = await persistently(lambda: Reader(self.hub).watch(execution_id, query))
        self.readers.append((reader, execution_id, resumed, resumed_tests))

    async def follow(self) -> None:
        self.readers.append((await persistently(lambda: Reader(self.hub).follow()), None, None, None))

    async def look(self) -> None:
        await persistently(self.hub._look)

    async def end(self) -> None:
        """The bus said that something was lost, and everybody has had the time to read."""
        self.log.failures = 0
        await asyncio.gather(*self.arriving)
        for reader, *_ in self.readers:
            reader.sink.room.set()
        await settle()
        await self.look()
        await settle()

    def check(self) -> None:
        for reader, execution_id, after, tests_after in self.readers:
            is_whole = not reader.subscriber.verdict.done()
            assert is_whole or reader.subscriber.verdict.result() == TOO_SLOW
            if execution_id is None:
                for one in self.log.events_of:
                    frames = [frame for frame in reader.sink.frames if frame.execution_id == one]
                    last = last_in_order(frames, None)
                    assert last == self.log.events_of[one] or not is_whole
                continue
            last = last_in_order(reader.sink.of(Kind.SNAPSHOT, Kind.EVENT), after)
            assert last == self.log.events_of[execution_id] or not is_whole
            if tests_after is not None:
                last = last_in_order(reader.sink.of(Kind.TESTS), tests_after)
                assert last == self.log.tests_of[execution_id] or not is_whole


async def persistently(work: Any) -> Any:
    """Try until the database is there."""
    while True:
        try:
            return await work()
        except Exception as error:
            if type(error).__name__ != "Unavailable":
                raise


async def live(plan: list[tuple[tuple[Any, ...], int]]) -> None:
    world = World()
    for action, pause in plan:
        await world.take(action)
        for _ in range(pause):
            await asyncio.sleep(0)
    await world.end()
    try:
        world.check()
    finally:
        for reader, *_ in world.readers:
            await reader.leave()
        await world.hub.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans)
def test_each_reader_gets_each_number_once_and_in_order(plan: list[tuple[tuple[Any, ...], int]]) -> None:
    asyncio.run(live(plan))
