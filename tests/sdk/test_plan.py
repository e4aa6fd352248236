"""Which shard runs which file."""

from hypothesis import given
from hypothesis import strategies as st

from tms_sdk.plan import split

files = st.dictionaries(st.text(min_size=1), st.integers(0, 1000), max_size=60)
shards = st.integers(1, 20)


def loads(plan: dict[str, int], tests: dict[str, int], number: int) -> list[int]:
    return [sum(max(1, tests[file]) for file in plan if plan[file] == shard) for shard in range(1, number + 1)]


@given(files, shards)
def test_every_file_is_in_exactly_one_shard(tests: dict[str, int], number: int) -> None:
    plan = split(tests, number)
    assert plan.keys() == tests.keys()
    assert set(plan.values()) <= set(range(1, number + 1))


@given(files, shards, st.randoms())
def test_the_same_files_give_the_same_plan_in_any_order(tests: dict[str, int], number: int, random: object) -> None:
    names = list(tests)
    random.shuffle(names)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert split({name: tests[name] for name in names}, number) == split(tests, number)


@given(files, shards)
def test_no_two_shards_differ_by_more_than_the_largest_file(tests: dict[str, int], number: int) -> None:
    spread = loads(split(tests, number), tests, number)
    assert max(spread) - min(spread) <= max([1, *tests.values()])


@given(files, shards)
def test_no_shard_is_empty_while_there_are_files_enough(tests: dict[str, int], number: int) -> None:
    assert len(set(split(tests, number).values())) == min(len(tests), number)


def test_a_large_file_gets_a_shard_of_its_own() -> None:
    plan = split({"large.py": 100, "a.py": 10, "b.py": 10, "c.py": 10}, 2)
    assert [file for file, shard in plan.items() if shard == plan["large.py"]] == ["large.py"]
