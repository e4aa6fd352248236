"""Claims, leases and streamed results, rule by rule and for every history."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.executions import payloads
from orchestrator.executions.commands import Cancel, Claimed, ClaimState, HandBack, Lapse, MakePlan, Order, Placed
from orchestrator.executions.model import ExecutionStatus, ReasonCode, ShardStatus, TestStatus, Totals
from orchestrator.executions.plan import PlanMode, is_open, open_places
from tests import orders
from tests.dealt import Run, a_manifest, drawn, lease_of


def a_queue(files: int = 6, each: int = 2, *, shards: int = 2, retries: int = 1) -> Run:
    plan = drawn(a_manifest(files, each), PlanMode.QUEUE, shards, [1000.0] * (files * each)).plan
    return Run(plan, shards, retries)


def a_split(files: int = 6, each: int = 2, *, shards: int = 2, retries: int = 1) -> Run:
    plan = drawn(a_manifest(files, each), PlanMode.STATIC, shards, [1000.0] * (files * each)).plan
    return Run(plan, shards, retries)


def work(run: Run, runner: str) -> None:
    """Claim and report until nothing is left, then close the shard."""
    claimed = run.claim(runner)
    while claimed.state is ClaimState.LEASED:
        run.report(runner, claimed, claimed.places)
        claimed = run.claim(runner, done=claimed.lease)
    if claimed.state is ClaimState.DONE and claimed.shard_id is not None:
        run.give(orders.submit(run.made, claimed.shard_id, [], totals=Totals(), body=runner))


def test_a_runner_that_asks_again_gets_what_it_has() -> None:
    run = a_queue(40, 1)

    first = run.claim("a")
    run.report("a", first, first.places[:1])
    again = run.claim("a")

    assert (again.lease, again.places) == (first.lease, first.places[1:])


def test_no_test_is_given_to_two_runners() -> None:
    run = a_queue()

    assert set(run.claim("a").places).isdisjoint(run.claim("b").places)


def test_who_is_nearly_through_gets_more_under_the_same_lease() -> None:
    run = a_queue(40, 1)
    first = run.claim("a")
    run.report("a", first, first.places[:-1])

    grown = run.claim("a", ahead=True)

    assert (grown.lease, grown.attempt, grown.places[:1]) == (first.lease, 1, first.places[-1:])
    assert len(grown.places) > 1
    assert run.claim("a", ahead=True) == run.claim("a") == grown, "asked again, it has enough"
    assert set(grown.places).isdisjoint(run.claim("b").places)
    assert set(run.report("a", grown, grown.places)) == {"a"}


def test_the_tests_of_a_grown_lease_go_back_with_it() -> None:
    run = a_queue(40, 1)
    first = run.claim("a")
    run.report("a", first, first.places[:-1])
    grown = run.claim("a", ahead=True)

    assert run.hand_back("a", grown) == len(grown.places)
    assert run.claim("b").places[0] == grown.places[0]


@pytest.mark.parametrize("left", [2, 3])
def test_who_has_much_left_gets_no_more_ahead(left: int) -> None:
    run = a_queue(40, 1)
    first = run.claim("a")
    run.report("a", first, first.places[:-left])

    assert run.claim("a", ahead=True).places == first.places[-left:]


def test_toward_the_end_nobody_gets_more_ahead_since_others_would_wait() -> None:
    run = a_queue(40, 1)
    claimed = run.claim("a")
    grown = 0
    while claimed.state is ClaimState.LEASED:
        run.report("a", claimed, claimed.places[:-1])
        more = run.claim("a", ahead=True)
        grown += more.places[1:] != ()
        if not more.places[1:]:
            assert run.state.deal is not None
            assert run.state.deal.waiting_ms < 2000, "a test of a second, and half a second for the other shard"
        run.report("a", more, more.places[:1])
        claimed = run.claim("a", done=None if more.places[1:] else more.lease)

    assert grown > 5


def test_in_a_static_plan_there_is_no_more_to_get_ahead() -> None:
    run = a_split(6, 2)
    first = run.claim("a")
    run.report("a", first, first.places[:-1])

    assert run.claim("a", ahead=True).places == first.places[-1:]


def test_what_may_kill_a_runner_is_not_given_ahead() -> None:
    run = a_queue(40, 1)
    suspect = run.claim("a")
    other = run.claim("b")
    run.lapse(suspect)
    run.report("b", other, other.places[:-1])

    assert run.claim("b", ahead=True).places == other.places[-1:]


def test_batches_shrink_toward_the_end() -> None:
    run = a_queue(40, 1)
    sizes = []
    claimed = run.claim("a")
    while claimed.state is ClaimState.LEASED:
        sizes.append(len(claimed.places))
        run.report("a", claimed, claimed.places)
        claimed = run.claim("a", done=claimed.lease)

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1
    assert sizes[-1] == 1


@pytest.mark.parametrize("make", [a_queue, a_split])
def test_an_execution_is_completed_when_all_runners_have_closed_their_shards(make: Any) -> None:
    run = make()
    first = run.claim("b")
    work(run, "a")
    run.report("b", first, first.places)
    work(run, "b")
    work(run, "a")

    assert (run.state.status, run.state.reason_code) == (ExecutionStatus.COMPLETED, None)
    assert run.state.totals == Totals(12, 12)
    assert [shard.status for shard in run.state.shards] == [ShardStatus.COMPLETED] * 2


def test_one_runner_for_all_gets_all_at_once() -> None:
    run = a_queue(40, 1, shards=1)

    assert len(run.claim("a").places) == 40


def test_a_runner_waits_while_another_may_lose_its_tests() -> None:
    run = a_queue(2, 1)
    run.claim("a")
    mine = run.claim("b")
    run.report("b", mine, mine.places)

    waiting = run.claim("b", done=mine.lease)

    assert (waiting.state, waiting.places) == (ClaimState.WAIT, ())
    assert waiting.retry_after is not None


@pytest.mark.parametrize("make", [a_queue, a_split])
def test_a_lapsed_lease_returns_what_was_not_reported_and_first_what_was_under_way(make: Any) -> None:
    run = make(40, 1, shards=1)
    lost = run.claim("dead")
    run.report("dead", lost, lost.places[:1])
    run.lapse(lost)

    under_way = run.claim("heir")
    run.report("heir", under_way, under_way.places)
    rest = run.claim("heir", done=under_way.lease)

    assert (under_way.places, under_way.attempt) == (lost.places[1:2], 2)
    assert (rest.places[: len(lost.places) - 2], rest.attempt) == (lost.places[2:], 1)


@pytest.mark.parametrize("make", [a_queue, a_split])
def test_a_test_that_kills_runners_takes_no_other_with_it(make: Any) -> None:
    run = make(40, 1, shards=2, retries=2)
    deaths = 0
    for number in range(100):
        if run.state.is_finished:
            break
        runner = f"runner {number}"
        claimed = run.claim(runner)
        while claimed.state is ClaimState.LEASED:
            before = claimed.places[: claimed.places.index(7)] if 7 in claimed.places else claimed.places
            run.report(runner, claimed, before)
            if 7 in claimed.places:
                deaths += 1
                break
            claimed = run.claim(runner, done=claimed.lease)
        if claimed.lease is not None:
            run.lapse(claimed)

    assert deaths == 3
    assert (run.state.totals, run.state.missing_tests) == (Totals(39, 39), 1)
    assert [shard.status for shard in run.state.shards].count(ShardStatus.LOST) == 1
    assert run.state.reason_code is ReasonCode.INCOMPLETE


def test_in_a_static_plan_those_who_are_through_take_over_from_the_dead() -> None:
    run = a_split(4, 2, shards=2)
    dead, mine = run.claim("dead"), run.claim("heir")
    run.report("heir", mine, mine.places)
    waiting = run.claim("heir", done=mine.lease)
    assert waiting.state is ClaimState.WAIT
    run.lapse(dead)

    taken: list[int] = []
    claimed = run.claim("heir")
    while claimed.state is ClaimState.LEASED:
        assert claimed.shard_id == dead.shard_id
        run.report("heir", claimed, claimed.places)
        taken += claimed.places
        claimed = run.claim("heir", done=claimed.lease)
    run.give(orders.submit(run.made, "1", [], totals=Totals(), body="end", runner_id="heir"))

    assert taken == list(dead.places)
    assert [shard.status for shard in run.state.shards] == [ShardStatus.COMPLETED] * 2
    assert (run.state.status, run.state.reason_code) == (ExecutionStatus.COMPLETED, None)


def test_a_runner_that_asks_for_one_shard_neither_waits_for_others_nor_takes_over() -> None:
    run = a_split(4, 2, shards=2)
    run.lapse(run.claim("dead", shard="1"))
    mine = run.claim("pinned", shard="2")
    run.report("pinned", mine, mine.places)

    assert run.claim("pinned", shard="2", done=mine.lease).state is ClaimState.DONE
    run.give(orders.submit(run.made, "2", [], totals=Totals(), body="end", runner_id="pinned"))
    assert run.claim("again", shard="2").state is ClaimState.DONE


@pytest.mark.parametrize("status", [ShardStatus.COMPLETED, ShardStatus.ERROR])
@pytest.mark.parametrize("make", [a_queue, a_split])
def test_the_word_of_a_former_holder_ends_no_shard(make: Any, status: ShardStatus) -> None:
    run = make(shards=1)
    lost = run.claim("dead")
    run.report("dead", lost, lost.places[:1])
    run.lapse(lost)
    heir = run.claim("heir")
    before = run.state

    word = orders.submit(run.made, "1", [], status=status, totals=Totals(), body="end", runner_id="dead")
    assert run.give(word).events == ()
    whole = orders.submit(run.made, "1", orders.outcomes(12), body="all", runner_id="dead")
    kept = run.give(msgspec.structs.replace(whole, placed=Placed(tuple(range(12)), tuple(range(12)))))

    assert (kept.events, kept.late, kept.submission_id) == ((), True, whole.submission_id)
    assert run.state == before
    assert run.beat("heir", heir) is Order.CONTINUE


def test_a_submission_that_lists_fewer_tests_than_the_former_leaves_them_missing() -> None:
    run = a_split(2, 2, shards=1)
    for number, places in enumerate([(0, 1, 2, 3), (1, 2)]):
        sent = orders.submit(run.made, "1", orders.outcomes(len(places)), body=str(number))
        run.give(msgspec.structs.replace(sent, placed=Placed(places, places)))

    assert run.state.deal is not None
    assert (run.state.totals.total, run.state.deal.reported, run.state.deal.missing) == (2, 0b0110, 0b1001)
    assert (run.state.deal.shards[0].reported, run.state.deal.shards[0].missing) == (2, 2)
    assert run.state.missing_tests == 2


def test_who_hands_back_hears_how_many_others_there_are() -> None:
    run = a_queue()
    first, second = run.claim("a"), run.claim("b")

    for _ in range(2):
        assert run.give(HandBack(**run.common, runner_id="a", lease=lease_of(first))).others == 1
    assert run.give(HandBack(**run.common, runner_id="b", lease=lease_of(second))).others == 0


def test_a_late_report_of_a_former_holder_is_never_counted() -> None:
    run = a_queue()
    lost = run.claim("dead")
    run.lapse(lost)
    before = run.state.totals

    assert run.report("dead", lost, lost.places) == "l" * len(lost.places)
    assert run.state.totals == before


def test_a_test_is_lost_when_its_retries_are_used_up_and_the_shard_named() -> None:
    run = a_queue(1, 1, shards=1, retries=1)
    for runner in ("one", "two"):
        run.lapse(run.claim(runner))

    assert run.state.shards[0].status is ShardStatus.LOST
    assert (run.state.status, run.state.reason_code) == (ExecutionStatus.COMPLETED, ReasonCode.INCOMPLETE)
    assert run.state.reason == "Shard 1 lost; 1 planned test not reported"
    assert run.state.missing_tests == 1


def test_what_is_handed_back_is_not_held_against_the_tests() -> None:
    run = a_queue(1, 1, shards=1, retries=0)
    for _ in range(3):
        claimed = run.claim("spot")
        assert claimed.attempt == 1
        assert run.hand_back("spot", claimed) == 1

    assert run.claim("spot").state is ClaimState.LEASED


def test_a_runner_that_dies_after_its_last_test_holds_up_nobody() -> None:
    run = a_split(2, 1)
    for runner in ("a", "b"):
        claimed = run.claim(runner)
        run.report(runner, claimed, claimed.places, TestStatus.FAILED)
        run.lapse(claimed)

    assert run.state.status is ExecutionStatus.COMPLETED
    assert [shard.status for shard in run.state.shards] == [ShardStatus.FAILED] * 2


def test_a_seat_that_nobody_took_ends_with_the_others() -> None:
    run = a_queue(3, 1, shards=3)
    work(run, "alone")

    assert run.state.status is ExecutionStatus.COMPLETED
    assert [shard.totals.total for shard in run.state.shards] == [3, 0, 0]


def test_tests_that_a_runner_did_not_report_are_missing_and_told() -> None:
    run = a_split(1, 3, shards=1)
    claimed = run.claim("a")
    run.report("a", claimed, claimed.places[:1])
    assert run.claim("a", done=claimed.lease).state is ClaimState.DONE
    decision = run.give(orders.submit(run.made, "1", [], totals=Totals(), body="end"))

    assert run.state.reason_code is ReasonCode.INCOMPLETE
    told = payloads.data(run.state, decision.events[-1])
    assert (told["reasonCode"], told["plan"]["missing"], told["plan"]["reported"]) == ("incomplete", 2, 1)


def test_a_test_outside_the_plan_counts_once_and_is_told_apart() -> None:
    run = a_queue()
    claimed = run.claim("a")
    assert claimed.lease is not None
    outside = Placed((-1,), (12345,))

    assert run.stream("a", claimed.lease, "1", outside) == "a"
    assert run.stream("a", claimed.lease, "1", outside) == "d"
    assert run.state.totals.total == 1
    assert run.state.deal is not None
    assert len(run.state.deal.unexpected) == 1


def test_a_heartbeat_tells_what_to_do() -> None:
    run = a_queue()
    claimed = run.claim("a")

    assert run.beat("a", claimed) is Order.CONTINUE
    assert run.beat("other", claimed) is Order.ABANDON
    run.lapse(claimed)
    assert run.beat("a", claimed) is Order.ABANDON
    run.give(Cancel(**run.common, reason="enough"))
    assert run.beat("a", claimed) is Order.CANCEL
    assert run.claim("a").state is ClaimState.CANCELLED


def test_tests_that_come_with_the_close_of_a_stream_are_the_last_of_it() -> None:
    run = a_split(2, 1, shards=1)
    claimed = run.claim("a")
    run.report("a", claimed, claimed.places[:1], TestStatus.FAILED)
    whole = orders.submit(run.made, "1", orders.outcomes(2), body="whole")
    refusal = run.give(whole).refusal
    assert refusal is not None
    assert refusal.code == "PLACES_NEEDED"

    decision = run.give(msgspec.structs.replace(whole, placed=Placed((0, 1), (0, 1)), letters="pp"))

    assert (decision.outcomes, decision.submission_id) == ("da", run.state.shards[0].submission_id)
    assert run.state.totals == Totals(2, 1, 1)
    assert (run.state.status, run.state.missing_tests) == (ExecutionStatus.COMPLETED, 0)


def test_a_shard_that_is_closed_after_its_execution_ended_keeps_what_it_streamed() -> None:
    run = a_split(2, 1, shards=2)
    claimed = run.claim("a")
    run.report("a", claimed, claimed.places)
    run.give(orders.submit(run.made, "2", [], status=ShardStatus.ERROR, body="broken"))
    assert run.state.status is ExecutionStatus.FAILED

    run.give(orders.submit(run.made, "1", [], totals=Totals(), body="end"))

    assert (run.state.shards[0].status, run.state.totals) == (ShardStatus.COMPLETED, Totals(1, 1))


def test_a_lost_shard_is_not_closed_by_the_runner_that_was_given_up() -> None:
    for reported in (1, 0):
        run = a_split(1, 2, shards=1, retries=0)
        claimed = run.claim("a")
        run.report("a", claimed, claimed.places[:reported])
        for _ in range(2 - reported):
            run.lapse(claimed)
            claimed = run.claim("a")

        assert run.give(orders.submit(run.made, "1", [], totals=Totals(), body="end")).events == ()
        assert (run.state.shards[0].status, run.state.totals) == (ShardStatus.LOST, Totals(reported, reported))


def test_the_first_plan_counts() -> None:
    run = a_queue()
    other = drawn(a_manifest(1, 1), PlanMode.STATIC).plan

    assert run.give(MakePlan(**run.common, plan=other, manifest=b"")).events == ()
    assert run.state.plan is not None
    assert run.state.plan.tests == 12


RUNNERS = ("a", "b", "c")
steps = st.lists(
    st.tuples(st.sampled_from(RUNNERS), st.sampled_from(["claim", "ahead", "report", "part", "die", "leave", "close"])),
    max_size=60,
)


@settings(max_examples=200)
@given(st.sampled_from(PlanMode), st.integers(0, 3), steps)
def test_whatever_runners_do_every_test_is_reported_or_named_and_none_counted_twice(
    mode: PlanMode, retries: int, history: list[tuple[str, str]]
) -> None:
    plan = drawn(a_manifest(5, 2), mode, 3, [float(100 * number) for number in range(1, 11)]).plan
    run = Run(plan, 3, retries)
    held: dict[str, Claimed] = {}
    reported: set[int] = set()
    for runner, step in history:
        run.now += timedelta(seconds=1)
        fresh = _step(run, held, runner, step)
        assert fresh.isdisjoint(reported), "a test counts once"
        reported |= fresh
        _holds(run, reported)
    for number in range(100):
        if run.state.is_finished:
            break
        run.now += timedelta(seconds=1)
        assert run.state.deal is not None
        for lease in run.state.deal.leases:
            run.give(Lapse(**run.common, lease=lease.number))
        claimed = run.claim(f"last {number}")
        if claimed.places:
            assert set(run.report(f"last {number}", claimed, claimed.places)) == {"a"}
            reported |= set(claimed.places)
        _holds(run, reported)
    assert run.state.is_finished, "an execution with a willing runner ends"
    missing = plan.tests - len(reported)
    assert run.state.missing_tests == missing
    assert (run.state.reason_code is ReasonCode.INCOMPLETE) == bool(
        missing or any(shard.status is ShardStatus.LOST for shard in run.state.shards)
    )


def _step(run: Run, held: dict[str, Claimed], runner: str, step: str) -> set[int]:
    """What a runner does; the tests of it that count."""
    claimed = held.get(runner)
    if step == "claim":
        held[runner] = run.claim(runner, done=None if claimed is None else claimed.lease)
    elif step == "ahead":
        held[runner] = run.claim(runner, ahead=True)
    elif claimed is None or claimed.lease is None or claimed.shard_id is None:
        return set()
    elif step in {"report", "part"}:
        places = claimed.places[:1] if step == "part" else claimed.places
        taken = run.report(runner, claimed, places)
        return {place for place, letter in zip(places, taken, strict=True) if letter == "a"}
    elif step == "die":
        run.lapse(claimed)
    elif step == "leave":
        run.hand_back(runner, claimed)
    else:
        body = f"{runner}{claimed.lease}"
        run.give(orders.submit(run.made, claimed.shard_id, [], totals=Totals(), body=body))
    return set()


def _holds(run: Run, reported: set[int]) -> None:
    deal, plan = run.state.deal, run.state.plan
    assert deal is not None
    assert plan is not None
    assert deal.reported == sum(1 << place for place in reported)
    assert deal.reported & deal.missing == 0
    if not run.state.is_finished:
        assert run.state.totals.total == len(reported)
    given_out = [place for lease in deal.leases for place in open_places(plan, deal, lease.units)]
    assert len(given_out) == len(set(given_out)), "no test is in two leases"
    assert len({lease.shard for lease in deal.leases}) == len(deal.leases), "a seat has one runner"
    assert len({lease.runner_id for lease in deal.leases}) == len(deal.leases), "a runner has one seat"
    assert sum(shard.reported for shard in deal.shards) == len(reported)
    if plan.mode is PlanMode.QUEUE:
        waits = [
            unit for unit in (*deal.returned, *range(deal.next_unit, len(plan.units))) if is_open(plan, deal, unit)
        ]
        assert set(open_places(plan, deal, waits)).isdisjoint(given_out), "what waits nobody has"
        assert len(waits) == len(set(waits)), "what waits does so once"
        assert deal.waiting_ms == pytest.approx(sum(plan.units[unit].expected_ms for unit in waits))
    assert all(run.state.shards[lease.shard - 1].is_open for lease in deal.leases)
