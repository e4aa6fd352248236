"""How plans are made."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.executions import planning
from orchestrator.executions.plan import PlanMode
from orchestrator.executions.planning import Known, PlannedTest, Rules, UnitOrder
from tests.dealt import NOW, a_manifest, drawn

names = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), min_size=1, max_size=60, unique=True)
durations = st.none() | st.floats(0, 100_000)
modes = st.sampled_from(PlanMode)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[list[PlannedTest], list[Known], Rules]:
    planned = [PlannedTest(f"test_{file}.py", f"test_{number}") for file, number in draw(names)]
    known = [draw(st.builds(Known, durations, st.booleans(), st.booleans())) for _ in planned]
    rules = Rules(
        mode=draw(modes),
        shards=draw(st.integers(1, 9)),
        order=draw(st.sampled_from(UnitOrder)),
        split_files=draw(st.booleans()),
        sizes=draw(st.dictionaries(st.sampled_from(["test_a.py", "test_b.py"]), st.integers(0, 10_000))),
    )
    return planned, known, rules


@given(inputs())
def test_every_test_is_in_exactly_one_unit_and_every_unit_in_one_shard(
    given: tuple[list[PlannedTest], list[Known], Rules],
) -> None:
    planned, known, rules = given

    made = planning.draw(planned, known, rules, NOW)

    assert sorted((one.file, one.title) for one in made.manifest) == sorted((one.file, one.title) for one in planned)
    assert [unit.first for unit in made.plan.units] == [
        sum(one.tests for one in made.plan.units[:number]) for number in range(len(made.plan.units))
    ]
    assert sum(unit.tests for unit in made.plan.units) == made.plan.tests == len(planned)
    assert sum(made.plan.shard_ms) == pytest.approx(sum(unit.expected_ms for unit in made.plan.units))
    if rules.mode is PlanMode.STATIC:
        assert (made.plan.bounds[0], made.plan.bounds[-1]) == (0, len(made.plan.units))
        assert list(made.plan.bounds) == sorted(made.plan.bounds)
        assert sum(made.plan.planned()) == len(planned)


@given(inputs(), st.randoms())
def test_the_same_inputs_give_the_same_plan(
    given: tuple[list[PlannedTest], list[Known], Rules], order: random.Random
) -> None:
    planned, known, rules = given
    again = list(planned)
    order.shuffle(again)

    assert planning.draw(planned, known, rules, NOW) == planning.draw(list(planned), list(known), rules, NOW)
    assert planning.digest(again) == planning.digest(planned)


@given(st.lists(st.floats(1, 10_000), min_size=1, max_size=40), st.integers(1, 6))
def test_no_shard_is_longer_than_the_rule_of_the_longest_first_allows(lengths: list[float], shards: int) -> None:
    planned = a_manifest(len(lengths), 1)

    plan = drawn(planned, PlanMode.STATIC, shards, lengths).plan

    # Graham 1966: a list schedule is at most this long, whatever the order.
    assert plan.expected_ms <= sum(lengths) / shards + max(lengths) * (1 - 1 / shards) + 1e-6


def test_a_slow_file_is_cut_and_others_stay_whole() -> None:
    planned = [*a_manifest(1, 10), *[PlannedTest("tests/fast.py", f"test_{number}") for number in range(10)]]

    plan = drawn(planned, PlanMode.QUEUE, 4, [1000.0] * 10 + [1.0] * 10).plan

    assert sorted(unit.tests for unit in plan.units) == [1] * 10 + [10]


def test_a_file_is_not_cut_into_moments_but_where_durations_are_guesses() -> None:
    known = drawn(a_manifest(1, 10), PlanMode.QUEUE, 4, [100.0] * 10).plan
    guessed = planning.draw(a_manifest(1, 10), [Known()] * 10, Rules(mode=PlanMode.QUEUE, shards=4), NOW).plan

    assert [unit.tests for unit in known.units] == [5, 5]
    assert [unit.tests for unit in guessed.units] == [1] * 10


def test_a_file_stays_whole_where_the_runner_cannot_run_parts_of_it() -> None:
    rules = Rules(mode=PlanMode.QUEUE, shards=4, split_files=False)

    made = planning.draw(a_manifest(1, 10), [Known(1000.0)] * 10, rules, NOW)

    assert [unit.tests for unit in made.plan.units] == [10]


def test_an_unknown_test_takes_as_long_as_others_of_its_file_or_of_files_of_its_size() -> None:
    planned = [
        PlannedTest("a.py", "known"),
        PlannedTest("a.py", "new"),
        PlannedTest("small.py", "new"),
        PlannedTest("large.py", "known"),
        PlannedTest("as_large.py", "new"),
    ]
    known = [Known(100.0), Known(), Known(), Known(5000.0), Known()]
    sizes = {"a.py": 100, "large.py": 9000, "as_large.py": 8500}

    assert planning.estimates(planned, known, sizes) == [100.0, 100.0, 2550.0, 5000.0, 5000.0]


def test_nothing_known_makes_all_equal() -> None:
    assert planning.estimates(a_manifest(2, 2), [Known()] * 4, {}) == [planning.UNKNOWN_MS] * 4


def test_what_failed_lately_comes_first_where_that_is_asked_for() -> None:
    planned = a_manifest(3, 1)
    known = [Known(9000.0), Known(10.0, last_failed=True), Known(5000.0)]

    made = planning.draw(planned, known, Rules(mode=PlanMode.QUEUE, shards=2, order=UnitOrder.FAILED_FIRST), NOW)

    assert [one.file for one in made.manifest] == ["tests/test_1.py", "tests/test_0.py", "tests/test_2.py"]


def test_a_shard_runs_the_tests_of_a_file_together() -> None:
    lengths = [900.0, 100.0, 800.0, 100.0, 700.0, 100.0] * 5
    made = drawn(a_manifest(3, 10), PlanMode.STATIC, 2, lengths)

    for shard in (1, 2):
        files = [made.manifest[made.plan.units[unit].first].file for unit in made.plan.units_of(shard)]
        assert len([one for one, before in zip(files, [None, *files], strict=False) if one != before]) == len(
            set(files)
        )
