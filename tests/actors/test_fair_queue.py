"""Tenants take turns, and each keeps its own order."""

from hypothesis import given
from hypothesis import strategies as st

from actors.fair_queue import FairQueue

pushes = st.lists(st.tuples(st.integers(1, 4), st.integers()), max_size=40)


def filled(items: list[tuple[int, int]]) -> FairQueue[tuple[int, int]]:
    queue: FairQueue[tuple[int, int]] = FairQueue()
    for item in items:
        queue.push(item[0], item)
    return queue


def test_a_tenant_with_little_does_not_wait_for_one_with_much() -> None:
    queue = filled([*((1, number) for number in range(1000)), (2, 0), (3, 0)])

    assert [queue.pop()[0] for _ in range(5)] == [1, 2, 3, 1, 1]


@given(pushes)
def test_everything_leaves_once_each_tenants_in_its_order(items: list[tuple[int, int]]) -> None:
    queue = filled(items)

    left = queue.clear()

    assert len(queue) == 0
    for tenant in range(1, 5):
        assert [item for item in left if item[0] == tenant] == [item for item in items if item[0] == tenant]


@given(pushes, st.integers(0, 40))
def test_what_is_returned_leaves_before_what_waits(items: list[tuple[int, int]], taken: int) -> None:
    queue = filled(items)
    out = [queue.pop() for _ in range(min(taken, len(items)))]

    queue.push_back((item[0], item) for item in out)

    assert len(queue) == len(items)
    assert [queue.of(tenant) for tenant in range(1, 5)] == [
        sum(item[0] == tenant for item in items) for tenant in range(1, 5)
    ]
    left = queue.clear()
    for tenant in range(1, 5):
        assert [item for item in left if item[0] == tenant] == [item for item in items if item[0] == tenant]
