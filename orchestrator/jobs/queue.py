"""Which of the shards that wait are started next: as many as the cluster has room for, in the order of their turns."""

from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.jobs.model import Resources


class Waiting(msgspec.Struct, frozen=True):
    """A shard that waits, and what it takes."""

    execution_id: str
    shard: int
    resources: Resources


def choose(waiting: Iterable[Waiting], free: Mapping[str, float]) -> list[Waiting]:
    """Those that there is room for now.

    Args:
        waiting: in the order of their turns, which is fair between tenants.
        free: amounts of the cluster's resources. One that does not fit lets smaller ones pass.
    """
    left = dict(free)
    chosen = []
    for one in waiting:
        wanted = one.resources.wanted()
        if all(left.get(name, 0.0) >= amount for name, amount in wanted.items()):
            for name, amount in wanted.items():
                left[name] -= amount
            chosen.append(one)
    return chosen
