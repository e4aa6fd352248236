"""All lanes together: turns, the common limit, alarms, and what is asked for at once."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from actors import lanes as lanes_module
from actors.endpoint_lane import CONCURRENCY, EndpointLane, Started
from actors.lanes import IN_FLIGHT, MOST_SLOW, MOST_WAITING, PREFETCH, Lanes
from storage.deliveries import Due
from tests.lane_rows import destination, due, outcome


def opened(lanes: Lanes, *webhook_ids: str, rate: int = 0) -> list[EndpointLane]:
    """Open lanes of these webhooks."""
    added = [EndpointLane(webhook_id, rate) for webhook_id in webhook_ids]
    for lane in added:
        lanes.add(lane)
        lanes.open(lane, destination(lane.webhook_id))
    return added


def filled(lanes: Lanes, rows: int) -> None:
    """Answer what the lanes ask for, with so many rows at the most for each."""
    asked = lanes.ask()
    answer = {
        lane.webhook_id: [due(lane.webhook_id) for _ in range(min(rows, each.due))] for lane, each in asked.items()
    }
    lanes.take_in(asked, answer, {})


def starts(lanes: Lanes, now: float) -> list[Started]:
    """All that may start now."""
    started = []
    while (one := lanes.start(now)) is not None:
        started.append(one)
    return started


def test_lanes_take_turns() -> None:
    lanes = Lanes()
    opened(lanes, "a", "b", "c")
    filled(lanes, 2)
    assert [started.lane.webhook_id for started in starts(lanes, 0.0)] == ["a", "b", "c"] * 2


def test_all_lanes_share_a_limit_and_none_holds_more_than_its_part() -> None:
    lanes = Lanes()
    opened(lanes, *(f"wh_{number}" for number in range(IN_FLIGHT)))
    filled(lanes, 10)
    started = starts(lanes, 0.0)
    assert len(started) == lanes.in_flight == IN_FLIGHT
    assert set(Counter(one.lane.webhook_id for one in started).values()) == {1}
    lanes.end(started[0], outcome(), 0.0)
    assert len(starts(lanes, 0.0)) == 1


def test_hanging_endpoints_hold_up_nobody_else() -> None:
    lanes = Lanes()
    opened(lanes, "hangs")
    filled(lanes, 10)
    assert len(starts(lanes, 0.0)) == CONCURRENCY
    opened(lanes, "works")
    filled(lanes, 10)
    assert {started.lane.webhook_id for started in starts(lanes, 0.0)} == {"works"}


def proven(lanes: Lanes, *webhook_ids: str) -> None:
    """Open lanes that have answered soon."""
    opened(lanes, *webhook_ids)
    filled(lanes, 1)
    for started in starts(lanes, 0.0):
        lanes.end(started, outcome(), 0.0)
        started.lane.recorded(started.due.delivery_id)
        lanes.nudge(started.lane)


def test_hundreds_of_slow_endpoints_leave_room_for_the_others() -> None:
    lanes = Lanes()
    proven(lanes, *(f"fast_{number}" for number in range(50)))
    opened(lanes, *(f"slow_{number}" for number in range(400)))
    filled(lanes, 10)
    held = Counter(started.lane.webhook_id[:4] for started in starts(lanes, 0.0))
    assert held == {"fast": 50 * CONCURRENCY, "slow": MOST_SLOW}


def test_beyond_its_part_each_slow_endpoint_gets_one_place() -> None:
    lanes = Lanes()
    slow = opened(lanes, *(f"slow_{number}" for number in range(MOST_SLOW + 100)))
    filled(lanes, 10)
    started = starts(lanes, 0.0)
    assert len(started) == len({one.lane for one in started}) == len(slow)
    lanes.end(started[0], outcome(500), 14.0)
    assert [one.lane for one in starts(lanes, 14.0)] == [started[0].lane]


def test_a_fast_endpoint_counts_as_slow_as_soon_as_a_request_lasts() -> None:
    lanes = Lanes()
    proven(lanes, *(f"wh_{number}" for number in range(MOST_SLOW // 2)))
    filled(lanes, 3)
    begun = starts(lanes, 0.0)
    assert len(begun) == IN_FLIGHT * 3 // 4
    for started in begun[: MOST_SLOW // 2]:
        lanes.end(started, outcome(), 1.5)
    for lane in lanes:
        lanes.nudge(lane)
    filled(lanes, 10)
    assert starts(lanes, 1.5) == [], "what still lasts holds as much as slow ones may"
    for started in begun[MOST_SLOW // 2 :]:
        lanes.end(started, outcome(), 1.5)
    assert len(starts(lanes, 1.5)) == IN_FLIGHT


def test_a_lane_that_waits_is_looked_at_when_its_time_has_come() -> None:
    lanes = Lanes()
    opened(lanes, "a", "b", rate=1)
    filled(lanes, 2)
    first, second = starts(lanes, 0.0)
    assert lanes.alarm() is None
    lanes.end(second, outcome(), 0.25)
    lanes.end(first, outcome(), 0.5)
    assert starts(lanes, 0.5) == []
    assert lanes.alarm() == 1.25
    assert [started.lane.webhook_id for started in starts(lanes, 1.25)] == ["b"]
    assert lanes.alarm() == 1.5


def test_a_lane_that_was_dropped_starts_nothing_more() -> None:
    lanes = Lanes()
    (lane,) = opened(lanes, "a")
    filled(lanes, 10)
    started = starts(lanes, 0.0)[0]
    lanes.drop(lane)
    assert (len(lanes), lanes.waiting) == (0, 0)
    lanes.end(started, outcome(), 0.0)
    assert starts(lanes, 0.0) == []
    assert not lanes.are_hungry


def test_lanes_that_want_rows_are_asked_for_together() -> None:
    lanes = Lanes()
    a, b, c = opened(lanes, "a", "b", "c")
    filled(lanes, 0)
    assert not lanes.are_hungry
    lanes.nudge(a)
    lanes.nudge(c)
    lanes.close(b)
    assert set(lanes.ask()) == {a, c}
    assert not lanes.are_hungry


def test_with_very_many_rows_in_memory_each_lane_gets_only_a_few() -> None:
    lanes = Lanes()
    opened(lanes, *(f"wh_{number}" for number in range(200)))
    asked = [wanted.due for wanted in lanes.ask().values()]
    full = MOST_WAITING // PREFETCH
    assert asked == [PREFETCH] * full + [CONCURRENCY] * (200 - full)


def test_very_many_lanes_are_asked_for_one_part_after_the_other() -> None:
    lanes = Lanes()
    opened(lanes, *(f"wh_{number}" for number in range(lanes_module.ASKED_AT_ONCE + 1)))
    first, second = lanes.ask(), lanes.ask()
    assert (len(first), len(second)) == (lanes_module.ASKED_AT_ONCE, 1)
    assert not lanes.are_hungry


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, no delivery is under way twice, and the limits hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lanes = Lanes()
        self.pending: dict[str, list[Due]] = {name: [due(name) for _ in range(60)] for name in "abc"}
        self.under_way: list[Started] = []
        self.unrecorded: list[Started] = []
        self.firsts: dict[str, list[int]] = {name: [] for name in "abc"}
        opened(self.lanes, "a", "b", "c", rate=5)

    @rule()
    def fetch(self) -> None:
        asked = self.lanes.ask()
        due, retries = {}, {}
        for lane, wanted in asked.items():
            rows = [row for row in self.pending[lane.webhook_id] if row.delivery_id not in lane.held]
            due[lane.webhook_id] = rows[: wanted.due]
            retries[lane.webhook_id] = [row for row in rows if row.tries][: wanted.retries]
        self.lanes.take_in(asked, due, retries)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 40.0]))
    def run(self, seconds: float) -> None:
        self.now += seconds
        for started in starts(self.lanes, self.now):
            assert started.due in self.pending[started.due.webhook_id]
            ids = [one.due.delivery_id for one in (*self.under_way, *self.unrecorded)]
            assert started.due.delivery_id not in ids
            self.under_way.append(started)

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 1000), status=st.sampled_from([200, 500, None]))
    def end(self, number: int, status: int | None) -> None:
        started = self.under_way.pop(number % len(self.under_way))
        self.lanes.end(started, outcome(status), self.now)
        self.unrecorded.append(started)
        rows = self.pending[started.due.webhook_id]
        rows.remove(started.due)
        if status != 200:
            rows.append(due(started.due.webhook_id, tries=1))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 1000))
    def cut_off(self, number: int) -> None:
        self.lanes.cut_off(self.under_way.pop(number % len(self.under_way)), self.now)

    @rule()
    def record(self) -> None:
        for started in self.unrecorded:
            started.lane.recorded(started.due.delivery_id)
        self.unrecorded.clear()

    @rule(name=st.sampled_from("abc"))
    def nudge(self, name: str) -> None:
        lane = self.lanes.get(name)
        assert lane is not None
        self.lanes.nudge(lane)

    @rule(name=st.sampled_from("abc"))
    def close_and_open(self, name: str) -> None:
        lane = self.lanes.get(name)
        assert lane is not None
        self.lanes.close(lane)
        self.lanes.open(lane, destination(name))

    @rule()
    def doubt(self) -> None:
        for lane in self.lanes:
            self.lanes.forget(lane)

    @invariant()
    def limits_hold(self) -> None:
        assert self.lanes.in_flight == len(self.under_way)
        assert self.lanes.waiting == sum(lane.waiting for lane in self.lanes)
        for lane in self.lanes:
            assert lane.in_flight <= CONCURRENCY
            assert lane.waiting <= 2 * PREFETCH

    def teardown(self) -> None:
        """Everything gets its turn in the end."""
        self.record()
        for _ in range(10_000):
            for started in self.under_way:
                self.lanes.end(started, outcome(), self.now)
                self.unrecorded.append(started)
                self.pending[started.due.webhook_id].remove(started.due)
            self.under_way.clear()
            self.record()
            if not any(self.pending.values()):
                return
            for name in "abc":
                self.nudge(name)
            self.fetch()
            self.run(1.0)
        raise AssertionError(f"left over: {self.pending}")


def test_in_any_order_nothing_is_sent_twice_and_everything_gets_its_turn() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=60, stateful_step_count=60))
