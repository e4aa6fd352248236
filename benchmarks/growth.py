"""What a submission costs where there are many running executions or stored rows, and what those take in memory.

What is compared is measured going up and coming down again, and the mean taken: a machine that got faster or slower
meanwhile looks the same from both sides.
"""

from collections.abc import Sequence

from benchmarks import filling
from benchmarks.books import Books
from benchmarks.figures import Figure, figure
from benchmarks.load import Plan, targets_of
from benchmarks.scale import Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps

SHARDS = 8
CONNECTIONS = 64
"""No more than there are shards to submit to while few executions run."""

FLAT = 1.15
MOST_KB = 10

Cost = dict[str, float]
"""CPU milliseconds of a submission, in each part of the server."""


def measure(server: Server, books: Books, scale: Scale, steps: Steps) -> list[Figure]:
    """All of it, on a server that has done nothing yet."""
    growth = _Growth(server, books, scale, steps)
    growth.run(scale.few)
    growth.cost()  # buffers, caches and connections come to their size
    few = [growth.cost()]
    before = server.owner_bytes()
    growth.run(scale.many)
    many = [growth.cost()]
    growth.run(scale.most)
    kilobytes = (server.owner_bytes() - before) / 1024 / (scale.most - scale.few)
    most = [growth.cost()]
    growth.run(scale.many)
    many.append(growth.cost())
    growth.empty()
    bare = [growth.cost()]
    growth.fill()
    full = [growth.cost()]
    growth.empty()
    bare.append(growth.cost())
    growth.run(scale.few)
    few.append(growth.cost())
    return [
        _compared(f"CPU of a submission, {scale.many:,} by {scale.few} running", many, few),
        _compared(f"CPU of a submission, {scale.most:,} by {scale.few} running", most, few),
        _compared(f"CPU of a submission, {scale.stored_rows:,} tests by none stored", full, bare),
        *(figure(f"CPU of a submission: {part}", _mean(many, part), "ms") for part in many[0]),
        figure("memory of a running execution in its owner", kilobytes, "KB", at_most=MOST_KB),
    ]


def _compared(name: str, costs: Sequence[Cost], floors: Sequence[Cost]) -> Figure:
    whole, floor = (sum(_mean(several, part) for part in several[0]) for several in (costs, floors))
    return figure(name, whole, "ms", floor=floor, at_most=FLAT)


def _mean(costs: Sequence[Cost], part: str) -> float:
    return sum(cost[part] for cost in costs) / len(costs)


class _Growth:
    """A server with more and fewer running executions and stored rows."""

    def __init__(self, server: Server, books: Books, scale: Scale, steps: Steps) -> None:
        self._server = server
        self._scale = scale
        self._steps = steps
        self._books = books
        self._running: list[str] = []
        self._rows = "the rows of this run"

    def run(self, amount: int) -> None:
        """Start or cancel executions until so many run."""
        added = amount - len(self._running)
        if added > 0:
            with self._steps.step(f"starting {added:,} executions"):
                self._running += self._books.start(added, SHARDS)
        else:
            with self._steps.step(f"cancelling {-added:,} executions"):
                self._books.cancel(self._running[amount:])
                del self._running[amount:]

    def fill(self) -> None:
        """Store many tests."""
        self._rows = f"{self._scale.stored_rows:,} tests stored"
        with self._steps.step(f"storing {self._scale.stored_rows:,} tests"):
            filling.fill(self._server.database_url, self._scale.stored_rows)

    def empty(self) -> None:
        """Remove all tests."""
        self._rows = "empty tables"
        with self._steps.step("emptying the tables"):
            filling.empty(self._server.database_url)
            self._books.forget_rows()

    def cost(self) -> Cost:
        """Submit for a while; returns what each submission has cost."""
        targets = targets_of(self._running, SHARDS)
        with self._steps.step(f"server with {len(self._running):,} running executions, {self._rows}"):
            filling.settle(self._server.database_url)
            before = self._server.cpu_seconds()
            outcome = self._books.submit(Plan(targets=targets, connections=CONNECTIONS, seconds=self._scale.seconds))
            after = self._server.cpu_seconds()
        return {part: 1000 * (after[part] - before[part]) / len(outcome.acknowledged) for part in after}
