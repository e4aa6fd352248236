"""Which shards are started next."""

from orchestrator.jobs.model import Resources
from orchestrator.jobs.queue import Node, Waiting, choose, oversized


def waiting(*cpus: float, **custom: float) -> list[Waiting]:
    return [Waiting("exec_1", shard, Resources(each, None, custom)) for shard, each in enumerate(cpus, 1)]


def chosen(wanted: list[Waiting], **free: float) -> list[int]:
    return [one.shard for one in choose(wanted, [Node(free, free)])]


def test_as_many_start_as_there_is_room_for_in_their_order() -> None:
    assert chosen(waiting(1, 1, 1), CPU=2) == [1, 2]


def test_one_that_does_not_fit_lets_smaller_ones_pass() -> None:
    assert chosen(waiting(4, 1, 1), CPU=1.5) == [2]


def test_what_the_cluster_has_not_got_is_waited_for() -> None:
    assert chosen(waiting(1, browser=1), CPU=8) == []
    assert chosen(waiting(1, 1, browser=1), CPU=8, browser=1) == [1]


def test_memory_counts() -> None:
    wanted = [Waiting("exec_1", 1, Resources(0, 100)), Waiting("exec_1", 2, Resources(0, 100))]
    assert chosen(wanted, CPU=1, memory=150) == [1]


def test_a_shard_is_started_where_a_single_node_has_room_for_all_of_it() -> None:
    nodes = [Node({"CPU": 1}, {"CPU": 4}), Node({"CPU": 2}, {"CPU": 2})]
    assert [one.shard for one in choose(waiting(3, 2, 1, 1), nodes)] == [2, 3]
    apart = [Node({"CPU": 8}, {"CPU": 8}), Node({"browser": 1}, {"browser": 1})]
    assert choose(waiting(1, browser=1), apart) == []


def test_what_no_node_could_hold_is_told_from_what_waits_for_others_to_end() -> None:
    nodes = [Node({}, {"CPU": 4}), Node({"CPU": 2}, {"CPU": 2})]
    assert [one.shard for one in oversized(waiting(4, 5, 6, 1), nodes)] == [2, 3]
    assert len(oversized(waiting(1), [])) == 1
