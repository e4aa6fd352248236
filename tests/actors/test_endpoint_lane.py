"""A lane with a passed clock: what may start, in which order, how much at once, and what it wants to know."""

import math
from datetime import timedelta

import msgspec
import pytest

from actors.endpoint_lane import CONCURRENCY, LULL, NOTHING, EndpointLane, Wanted
from orchestrator.webhooks.pacing import FAILURES_TO_OPEN, FIRST_COOL_DOWN
from storage.deliveries import Due
from tests.lane_rows import destination, due, outcome

MOST = 32


def lane_of(*rows: Due, rate: int = 0) -> EndpointLane:
    """An open lane that holds these rows, and knows that there are no others."""
    lane = EndpointLane("wh_1", rate)
    lane.open(destination())
    lane.take_in(lane.ask(MOST), rows, ())
    return lane


def starts(lane: EndpointLane, now: float) -> list[Due]:
    """All that may start now."""
    started = []
    while (one := lane.start(now)) is not None:
        started.append(one.due)
    return started


def refusing(lane: EndpointLane, now: float = 0.0) -> EndpointLane:
    """The same lane, after as many failures as open its breaker."""
    for _ in range(FAILURES_TO_OPEN):
        row = due(tries=1)
        lane.take_in(Wanted(1, 0), [row], ())
        assert lane.start(now) is not None
        lane.end(outcome(None), now)
        lane.recorded(row.delivery_id)
    assert lane.is_held_back
    return lane


def test_first_attempts_start_in_order_so_many_at_once() -> None:
    rows = [due() for _ in range(CONCURRENCY + 2)]
    lane = lane_of(*rows)
    assert starts(lane, 0.0) == rows[:CONCURRENCY]
    assert lane.wait(0.0) == math.inf
    lane.end(outcome(), 1.0)
    assert starts(lane, 1.0) == [rows[CONCURRENCY]]


def test_what_was_tried_before_goes_first() -> None:
    first, tried = due(), due(tries=1)
    assert starts(lane_of(first, tried), 0.0) == [tried, first]


def test_an_endpoint_that_fails_gets_one_request_at_a_time() -> None:
    rows = [due() for _ in range(10)]
    lane = lane_of(*rows)
    starts(lane, 0.0)
    for _ in range(CONCURRENCY):
        lane.end(outcome(500), 1.0)
    assert starts(lane, 1.0) == [rows[CONCURRENCY]]
    lane.end(outcome(200), 2.0)
    assert starts(lane, 2.0) == rows[CONCURRENCY + 1 : 2 * CONCURRENCY + 1]


@pytest.mark.contract("X-076")
def test_the_rate_tells_how_long_to_wait() -> None:
    lane = lane_of(*(due() for _ in range(5)), rate=2)
    assert len(starts(lane, 0.0)) == 2
    assert lane.wait(0.0) == math.inf, "until one ends nobody can say"
    lane.end(outcome(), 0.25)
    lane.end(outcome(), 0.5)
    assert lane.wait(0.5) == 0.75
    assert len(starts(lane, 1.25)) == 1


def test_a_lane_rests_as_long_as_its_past_is_unknown() -> None:
    lane = lane_of(due(), rate=10)
    lane.rest(5.0)
    assert lane.wait(4.0) == 1.0
    assert len(starts(lane, 5.0)) == 1


def test_an_open_breaker_holds_first_attempts_back_and_lets_retries_through() -> None:
    lane = refusing(lane_of())
    first, retry = due(), due(tries=2)
    lane.take_in(lane.ask(MOST), [first], [retry])
    assert starts(lane, 0.0) == [retry]
    lane.end(outcome(None), 0.0)
    assert lane.wait(0.0) == FIRST_COOL_DOWN
    assert starts(lane, FIRST_COOL_DOWN) == [first], "one is let through to see whether it is back"


def test_a_success_lets_first_attempts_through_again() -> None:
    lane = refusing(lane_of())
    firsts, retry = [due(), due()], due(tries=1)
    lane.take_in(Wanted(2, 1), firsts, [retry])
    starts(lane, 0.0)
    lane.end(outcome(), 1.0)
    assert starts(lane, 1.0) == firsts


def test_the_whole_lane_waits_where_the_endpoint_asks_for_it() -> None:
    lane = lane_of(due(), due(), due(tries=1))
    assert lane.start(0.0) is not None
    lane.end(outcome(503, retry_after=60), 1.0)
    assert lane.wait(1.0) == 60.0
    assert len(starts(lane, 61.0)) == 1


def test_a_webhook_that_is_opened_again_starts_anew() -> None:
    lane = refusing(lane_of(due()))
    lane.take_in(Wanted(0, 1), (), [due(tries=1)])
    starts(lane, 0.0)
    lane.end(outcome(503, retry_after=60), 0.0)
    lane.close()
    lane.open(destination())
    row = due()
    lane.take_in(lane.ask(MOST), [row], ())
    assert starts(lane, 1.0) == [row]


def test_a_closed_lane_starts_nothing_and_wants_nothing() -> None:
    lane = lane_of(due())
    lane.close()
    assert lane.wait(0.0) == math.inf
    assert lane.start(0.0) is None
    assert lane.wanted(MOST) == NOTHING
    lane.take_in(Wanted(1, 0), [due()], ())
    assert lane.held == set()


def test_nothing_starts_while_somebody_visits() -> None:
    lane = lane_of(due(), rate=1)
    with lane.visited():
        assert lane.wait(0.0) == math.inf
        assert lane.visitor_wait(0.0) == 0.0
        lane.visitor_begin()
    assert lane.wait(0.0) == math.inf, "the visitor takes the one place that the rate gives"
    lane.visitor_end(1.0, is_success=False)
    assert lane.wait(1.0) == 1.0


def test_a_visitor_that_succeeds_lets_first_attempts_through() -> None:
    lane = refusing(lane_of())
    lane.take_in(Wanted(1, 0), [due()], ())
    lane.visitor_begin()
    lane.visitor_end(1.0, is_success=True)
    assert len(starts(lane, 1.0)) == 1


def test_a_row_is_held_from_when_it_is_taken_in_until_it_is_recorded() -> None:
    row = due()
    lane = lane_of(row)
    lane.take_in(Wanted(1, 0), [row], ())
    assert starts(lane, 0.0) == [row]
    lane.take_in(Wanted(1, 0), [row], ())
    lane.end(outcome(), 0.0)
    lane.take_in(Wanted(1, 0), [row], ())
    assert (lane.held, lane.waiting) == ({row.delivery_id}, 0)
    lane.recorded(row.delivery_id)
    assert lane.held == set()


def test_what_is_forgotten_may_be_taken_in_again_but_not_what_is_under_way() -> None:
    rows = [due() for _ in range(CONCURRENCY + 1)]
    lane = lane_of(*rows)
    under_way = starts(lane, 0.0)
    lane.forget()
    assert lane.held == {row.delivery_id for row in under_way}
    lane.take_in(lane.ask(MOST), rows, ())
    assert lane.waiting == 1


def test_what_is_cut_off_is_to_be_made_again() -> None:
    row = due()
    lane = lane_of(row)
    assert starts(lane, 0.0) == [row]
    lane.cut_off(row, 1.0)
    assert lane.held == set()
    assert lane.wanted(MOST) == Wanted(MOST, 0)


def test_rows_are_asked_for_when_few_are_left_and_there_may_be_more() -> None:
    lane = EndpointLane("wh_1", 0)
    lane.open(destination())
    assert lane.ask(MOST) == Wanted(MOST, 0)
    assert lane.wanted(MOST) == NOTHING, "the answer is under way"
    lane.take_in(Wanted(MOST, 0), [due() for _ in range(MOST)], ())
    assert lane.ask(MOST) == Wanted(0, MOST), "there is enough, but it may hide retries"
    lane.take_in(Wanted(0, MOST), (), ())
    assert lane.wanted(MOST) == NOTHING
    for _ in range(MOST * 3 // 4):
        assert lane.start(0.0) is not None
        lane.end(outcome(), 0.0)
    assert lane.wanted(MOST) == Wanted(MOST * 3 // 4, 0)


def test_a_lane_that_got_less_than_it_asked_for_asks_again_when_it_is_nudged() -> None:
    lane = lane_of(due())
    assert lane.wanted(MOST) == NOTHING
    lane.nudge()
    assert lane.wanted(MOST) == Wanted(MOST - 1, 0)


def test_a_nudge_while_the_answer_is_under_way_is_not_lost() -> None:
    lane = EndpointLane("wh_1", 0)
    lane.open(destination())
    asked = lane.ask(MOST)
    lane.nudge()
    lane.take_in(asked, (), ())
    assert lane.wanted(MOST) == Wanted(MOST, 0)


def test_behind_an_open_breaker_retries_are_asked_for_by_themselves() -> None:
    lane = refusing(lane_of(due()))
    lane.nudge()
    assert lane.ask(MOST) == Wanted(0, MOST), "one first attempt waits already"
    lane.take_in(Wanted(0, MOST), (), [due(tries=1) for _ in range(3)])
    lane.nudge()
    assert lane.wanted(MOST) == Wanted(0, MOST - 3)


def test_a_retry_does_not_wait_behind_a_backlog() -> None:
    lane = EndpointLane("wh_1", 0)
    lane.open(destination())
    firsts, retry = [due() for _ in range(MOST)], due(tries=1)
    lane.take_in(lane.ask(MOST), firsts, ())
    lane.take_in(lane.ask(MOST), (), [retry])
    lane.take_in(Wanted(MOST, MOST), [retry], [retry])
    assert lane.waiting == MOST + 1, "what comes twice is taken once"
    started = lane.start(0.0)
    assert started is not None
    assert started.due == retry


def test_retries_are_not_asked_for_where_the_answer_had_them_all() -> None:
    lane = lane_of(due(), due(tries=1))
    assert lane.wanted(MOST) == NOTHING
    lane.nudge()
    assert lane.wanted(MOST) == Wanted(MOST - 2, 0)


def test_behind_an_open_breaker_many_retries_are_not_read_one_by_one() -> None:
    lane = refusing(lane_of())
    lane.nudge()
    lane.take_in(lane.ask(MOST), [due(tries=1)], [due(tries=1) for _ in range(MOST)])
    assert lane.wanted(MOST) == NOTHING
    assert lane.waiting == MOST + 1


def test_a_lane_is_slow_until_a_request_ends_well_and_soon() -> None:
    lane = lane_of(*(due() for _ in range(4)))
    assert lane.is_slow
    for ended, is_slow in (
        (outcome(), False),
        (msgspec.structs.replace(outcome(), duration_ms=1001), True),
        (outcome(), False),
        (outcome(500), True),
    ):
        assert lane.start(0.0) is not None
        lane.end(ended, 0.0)
        assert lane.is_slow is is_slow


def test_a_stretch_of_failures_begins_anew_after_a_lull() -> None:
    lane = lane_of(*(due() for _ in range(3)))
    first = outcome(500)
    for pause, is_anew in ((timedelta(0), True), (LULL, False), (LULL + timedelta(seconds=1), True)):
        first = msgspec.structs.replace(first, at=first.at + pause)
        assert lane.start(0.0) is not None
        lane.end(first, 0.0)
        assert (lane.failing_since == first.at) is is_anew


def test_a_visitor_that_succeeds_ends_the_stretch_of_failures() -> None:
    lane = refusing(lane_of())
    lane.visitor_begin()
    lane.visitor_end(0.0, is_success=False)
    assert lane.failing_since is not None
    lane.visitor_begin()
    lane.visitor_end(0.0, is_success=True)
    assert lane.failing_since is None


def test_failing_since_is_the_first_failure_since_the_last_success() -> None:
    lane = lane_of(*(due() for _ in range(3)))
    failed = outcome(500)
    for ended, since in ((failed, failed.at), (outcome(None), failed.at), (outcome(), None)):
        assert lane.start(0.0) is not None
        lane.end(ended, 0.0)
        assert lane.failing_since == since
