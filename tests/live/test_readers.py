"""Single cases of what a reader gets, on a log and a bus in memory."""

import asyncio
from collections.abc import AsyncIterator
from time import time

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from gateway.live.frames import Kind
from gateway.live.hub import GOING_AWAY, Hub
from gateway.live.measures import LiveMeasures
from gateway.live.subscriber import TOO_SLOW
from gateway.live.tenant import View
from gateway.wire.live import ExecutionLiveQuery
from orchestrator.errors import NotFound, Unavailable
from orchestrator.executions.model import ExecutionStatus, TestSuite
from storage.bus import Bus, News
from tests.live.memory import MemoryLog, settle
from tests.live.reading import Reader
from tests.measured import measured

X, Y = "exec_x", "exec_y"
EVENT, SNAPSHOT, TESTS = Kind.EVENT, Kind.SNAPSHOT, Kind.TESTS
QUEUE = 4
"""What may wait for a reader here (see conftest)."""


@pytest.fixture
def memory() -> MemoryLog:
    log = MemoryLog()
    log.commit(X, events=2, tests=1)
    return log


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def hub(memory: MemoryLog, registry: CollectorRegistry) -> AsyncIterator[Hub]:
    hub = Hub(memory, Bus("redis://localhost:1"), LiveMeasures(registry))
    yield hub
    await hub.close()


async def told(hub: Hub, news: News) -> None:
    """News came, and everything went its way."""
    hub._tell(news)
    await settle()


def frames(reader: Reader) -> list[tuple[str, Kind, int]]:
    return [(frame.execution_id, frame.kind, frame.number) for frame in reader.sink.frames]


async def test_begins_with_a_snapshot_and_goes_on_with_events(hub: Hub, memory: MemoryLog) -> None:
    reader = await Reader(hub).watch(X)
    await settle()
    await told(hub, memory.commit(X, events=2))
    assert frames(reader) == [(X, SNAPSHOT, 2), (X, EVENT, 3), (X, EVENT, 4)]


async def test_resumes_without_a_snapshot_after_the_event_it_names(hub: Hub, memory: MemoryLog) -> None:
    memory.commit(X, events=8)
    reader = await Reader(hub).watch(X, ExecutionLiveQuery(after=3))
    await settle()
    await told(hub, memory.commit(X, events=1))
    assert frames(reader) == [(X, EVENT, number) for number in range(4, 12)]


async def test_an_event_that_never_was_is_answered_with_a_snapshot(hub: Hub) -> None:
    reader = await Reader(hub).watch(X, ExecutionLiveQuery(after=50))
    await settle()
    assert frames(reader) == [(X, SNAPSHOT, 2)]


async def test_resumes_after_an_event_that_this_process_has_not_heard_of_yet(hub: Hub, memory: MemoryLog) -> None:
    first = await Reader(hub).watch(X)
    late = memory.commit(X, events=2)
    reader = await Reader(hub).watch(X, ExecutionLiveQuery(after=4))
    await settle()
    await told(hub, late)
    await told(hub, memory.commit(X, events=1))
    assert frames(reader) == [(X, EVENT, 5)]
    assert first.numbers(SNAPSHOT, EVENT)[-1] == 5


async def test_what_the_bus_lost_is_read_from_the_log_before_what_came_after_it(hub: Hub, memory: MemoryLog) -> None:
    reader = await Reader(hub).watch(X)
    await settle()
    memory.commit(X, events=5)
    await told(hub, memory.commit(X, events=1))
    assert reader.numbers(EVENT) == [3, 4, 5, 6, 7, 8]


async def test_a_message_that_comes_twice_is_passed_on_once(hub: Hub, memory: MemoryLog) -> None:
    reader = await Reader(hub).watch(X)
    await settle()
    news = memory.commit(X, events=2)
    await told(hub, news)
    await told(hub, news)
    assert reader.numbers(EVENT) == [3, 4]


async def test_a_look_into_the_log_finds_the_last_event_and_the_last_tests(hub: Hub, memory: MemoryLog) -> None:
    reader = await Reader(hub).watch(X, ExecutionLiveQuery(tests=True))
    follower = await Reader(hub).follow()
    await settle()
    memory.commit(X, events=1, tests=2)
    memory.commit(Y, events=3)
    await hub._look()
    await settle()
    assert reader.numbers(EVENT) == [3]
    assert reader.numbers(TESTS) == [1, 2, 3]
    assert frames(follower) == [(X, SNAPSHOT, 2), (X, EVENT, 3), (Y, EVENT, 1), (Y, EVENT, 2), (Y, EVENT, 3)]


async def test_tests_come_only_to_those_who_want_them_and_are_read_once_for_all(hub: Hub, memory: MemoryLog) -> None:
    plain = await Reader(hub).watch(X)
    wanting = [await Reader(hub).watch(X, ExecutionLiveQuery(tests=True, tests_after=1)) for _ in range(5)]
    await settle()
    before = memory.reads
    await told(hub, memory.commit(X, events=1, tests=1))
    assert plain.numbers(TESTS) == []
    assert [reader.numbers(TESTS) for reader in wanting] == [[2]] * 5
    assert memory.reads == before + 1


async def test_a_resumed_reader_gets_tests_from_the_first_unless_it_says_which(hub: Hub, memory: MemoryLog) -> None:
    memory.commit(X, events=1, tests=6)
    all_of_them = await Reader(hub).watch(X, ExecutionLiveQuery(after=3, tests=True))
    rest = await Reader(hub).watch(X, ExecutionLiveQuery(after=3, tests=True, tests_after=5))
    await settle()
    assert all_of_them.numbers(TESTS) == [1, 2, 3, 4, 5, 6, 7]
    assert rest.numbers(TESTS) == [6, 7]


async def test_one_snapshot_is_read_for_all_who_come_while_nothing_happens(hub: Hub, memory: MemoryLog) -> None:
    readers = [await Reader(hub).watch(X) for _ in range(20)]
    await settle()
    assert memory.reads == 1
    assert all(frames(reader) == [(X, SNAPSHOT, 2)] for reader in readers)


async def test_who_cannot_take_more_gets_a_snapshot_and_nobody_else_notices(hub: Hub, memory: MemoryLog) -> None:
    slow, quick = await Reader(hub).watch(X), await Reader(hub).watch(X)
    await settle()
    slow.sink.room.clear()
    await told(hub, memory.commit(X, events=QUEUE + 3))
    assert quick.numbers(EVENT) == list(range(3, QUEUE + 6))
    slow.sink.room.set()
    await settle()
    await told(hub, memory.commit(X, events=1))
    assert frames(slow)[-2:] == [(X, SNAPSHOT, QUEUE + 5), (X, EVENT, QUEUE + 6)]
    assert not slow.subscriber.verdict.done()


async def test_lag_and_dropped_frames_are_measured(hub: Hub, memory: MemoryLog, registry: CollectorRegistry) -> None:
    slow = await Reader(hub).watch(X)
    await settle()
    slow.sink.room.clear()
    await told(hub, msgspec.structs.replace(memory.commit(X, events=QUEUE + 3), committed_at=time() - 2))
    await told(hub, News(0, [], [], resync=True))
    found = list(registry.collect())
    assert measured(found, "tms_live_events_total") == QUEUE + 3
    assert measured(found, "tms_live_overflows_total") == 1
    assert measured(found, "tms_live_lag_seconds_count") == 1
    assert measured(found, "tms_live_lag_seconds_bucket", le="1.0") == 0
    hub.enter(slow.subscriber)
    assert measured(registry.collect(), "tms_live_readers") == 1


async def test_who_is_too_slow_again_before_having_caught_up_is_closed(hub: Hub, memory: MemoryLog) -> None:
    slow = await Reader(hub).watch(X)
    await settle()
    slow.sink.room.clear()
    await told(hub, memory.commit(X, events=QUEUE + 3))
    assert not slow.subscriber.verdict.done()
    await told(hub, memory.commit(X, events=QUEUE + 3))
    assert slow.subscriber.verdict.result() == TOO_SLOW


async def test_who_catches_up_in_between_may_be_slow_again(hub: Hub, memory: MemoryLog) -> None:
    slow = await Reader(hub).watch(X)
    await settle()
    for _ in range(3):
        slow.sink.room.clear()
        await told(hub, memory.commit(X, events=QUEUE + 3))
        slow.sink.room.set()
        await settle()
    assert not slow.subscriber.verdict.done()
    assert slow.numbers(SNAPSHOT)[-1] == memory.events_of[X]


async def test_a_reader_of_tests_that_is_slow_loses_none(hub: Hub, memory: MemoryLog) -> None:
    slow = await Reader(hub).watch(X, ExecutionLiveQuery(tests=True))
    await settle()
    slow.sink.room.clear()
    for _ in range(3 * QUEUE):
        await told(hub, memory.commit(X, events=0, tests=1))
    slow.sink.room.set()
    await settle()
    assert slow.numbers(TESTS) == list(range(1, 3 * QUEUE + 2))


async def test_readers_stay_while_the_database_is_away(hub: Hub, memory: MemoryLog) -> None:
    reader = await Reader(hub).watch(X)
    await settle()
    memory.commit(X, events=3)
    memory.failures = 5
    await told(hub, memory.commit(X, events=1))
    assert reader.numbers(EVENT) == [3, 4, 5, 6]


async def test_a_reader_of_all_waits_for_snapshots_while_the_database_is_away(hub: Hub, memory: MemoryLog) -> None:
    follower = await Reader(hub).follow()
    memory.failures = 3
    await settle()
    await told(hub, memory.commit(X, events=1))
    assert frames(follower)[0] in [(X, SNAPSHOT, 2), (X, SNAPSHOT, 3)]
    assert follower.numbers(SNAPSHOT, EVENT)[-1] == 3


async def test_nobody_comes_while_the_database_is_away(hub: Hub, memory: MemoryLog) -> None:
    memory.failures = 2
    with pytest.raises(Unavailable):
        await Reader(hub).watch(X)
    with pytest.raises(Unavailable):
        await Reader(hub).follow()
    follower = await Reader(hub).follow()
    await settle()
    assert frames(follower) == [(X, SNAPSHOT, 2)]


async def test_another_tenants_execution_is_unknown(hub: Hub, memory: MemoryLog) -> None:
    foreign = await Reader(hub, tenant=8).follow()
    with pytest.raises(NotFound):
        await Reader(hub, tenant=8).watch(X)
    await told(hub, memory.commit(X, events=1))
    assert frames(foreign) == []


async def test_all_executions_begin_with_a_snapshot_or_their_first_event(hub: Hub, memory: MemoryLog) -> None:
    memory.commit("exec_ended", events=4, status=ExecutionStatus.COMPLETED)
    follower = await Reader(hub).follow()
    await settle()
    await told(hub, memory.commit(Y, events=2))
    late = memory.commit("exec_ended", events=1, status=ExecutionStatus.COMPLETED)
    await told(hub, late)
    await told(hub, memory.commit("exec_ended", events=1, status=ExecutionStatus.COMPLETED))
    assert frames(follower) == [
        (X, SNAPSHOT, 2),
        (Y, EVENT, 1),
        (Y, EVENT, 2),
        ("exec_ended", SNAPSHOT, 5),
        ("exec_ended", EVENT, 6),
    ]


async def test_a_new_execution_that_is_watched_before_its_news_comes_begins_with_its_first_event(
    hub: Hub, memory: MemoryLog
) -> None:
    follower = await Reader(hub).follow()
    await settle()
    news = memory.commit(Y, events=2)
    reader = await Reader(hub).watch(Y)
    await settle()
    await told(hub, news)
    assert frames(follower) == [(X, SNAPSHOT, 2), (Y, EVENT, 1), (Y, EVENT, 2)]
    assert frames(reader) == [(Y, SNAPSHOT, 2)]


async def test_a_view_shows_what_fits_after_the_event(hub: Hub, memory: MemoryLog) -> None:
    running = await Reader(hub).follow(View(status=ExecutionStatus.RUNNING))
    completed = await Reader(hub).follow(View(status=ExecutionStatus.COMPLETED))
    other = await Reader(hub).follow(View(test_suite=TestSuite.API))
    await settle()
    await told(hub, memory.commit(X, events=1))
    await told(hub, memory.commit(X, events=1, status=ExecutionStatus.COMPLETED))
    assert frames(running) == [(X, SNAPSHOT, 2), (X, EVENT, 3)]
    assert frames(completed) == [(X, EVENT, 4)]
    assert frames(other) == []


async def test_a_slow_reader_of_all_gets_snapshots_of_those_it_missed_alone(hub: Hub, memory: MemoryLog) -> None:
    memory.commit(Y, events=1)
    slow = await Reader(hub).follow()
    await settle()
    slow.sink.room.clear()
    await told(hub, memory.commit(X, events=QUEUE + 3))
    slow.sink.room.set()
    await settle()
    assert frames(slow)[-1] == (X, SNAPSHOT, QUEUE + 5)
    assert [number for name, kind, number in frames(slow) if name == Y] == [1]
    await told(hub, memory.commit(X, events=1))
    assert frames(slow)[-1] == (X, EVENT, QUEUE + 6)


async def test_all_are_sent_away_at_the_end_those_who_still_come_too(hub: Hub) -> None:
    present = await Reader(hub).watch(X)
    hub.enter(present.subscriber)
    farewell = asyncio.create_task(hub.send_away())
    assert await present.subscriber.verdict == GOING_AWAY
    late = Reader(hub)
    hub.enter(late.subscriber)
    assert late.subscriber.verdict.result() == GOING_AWAY
    hub.leave(present.subscriber)
    hub.leave(late.subscriber)
    await farewell


async def test_nothing_is_kept_of_what_nobody_watches(hub: Hub, memory: MemoryLog) -> None:
    reader, follower = await Reader(hub).watch(X), await Reader(hub).follow()
    with pytest.raises(NotFound):
        await Reader(hub).watch("exec_unknown")
    await settle()
    await told(hub, memory.commit(Y, events=1))
    await reader.leave()
    await follower.leave()
    await hub._look()
    assert hub._tenants == {}
