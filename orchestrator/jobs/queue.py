"""Which of the shards that wait are started next: as many as the nodes have room for, in the order of their turns."""

from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.jobs.model import Resources

Amounts = Mapping[str, float]
"""Of resources, by the names that the cluster has for them."""


class Node(msgspec.Struct, frozen=True):
    """What nobody uses of a node, and all that it has."""

    free: Amounts
    total: Amounts


class Waiting(msgspec.Struct, frozen=True):
    """A shard that waits, and what it takes."""

    execution_id: str
    shard: int
    resources: Resources


def choose(waiting: Iterable[Waiting], nodes: Iterable[Node]) -> list[Waiting]:
    """Those that there is room for now, each on a single node.

    Args:
        waiting: in the order of their turns, which is fair between tenants.
        nodes: of the cluster. A shard that does not fit lets smaller ones pass.
    """
    left = [dict(node.free) for node in nodes]
    chosen = []
    for one in waiting:
        wanted = one.resources.wanted()
        node = next((amounts for amounts in left if _holds(amounts, wanted)), None)
        if node is not None:
            for name, amount in wanted.items():
                node[name] = node.get(name, 0.0) - amount
            chosen.append(one)
    return chosen


def oversized(waiting: Iterable[Waiting], nodes: Iterable[Node]) -> list[Waiting]:
    """Those that no node would have room for, were it empty."""
    totals = [node.total for node in nodes]
    return [one for one in waiting if not any(_holds(amounts, one.resources.wanted()) for amounts in totals)]


def _holds(amounts: Amounts, wanted: Amounts) -> bool:
    return all(amounts.get(name, 0.0) >= amount for name, amount in wanted.items())
