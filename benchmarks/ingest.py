"""`python -m benchmarks.ingest`: how fast results are taken, stored and shown, and what that costs.

README.md says what each figure means. With `--quick` everything is measured in small, to see that it works.
"""

import sys
from collections import Counter

from benchmarks import answer_to_frame, growth, throughput
from benchmarks.books import Books
from benchmarks.figures import Figure, figure
from benchmarks.run import run
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps


def main() -> int:
    """Measure, print and write; returns 1 if anything acknowledged was lost."""
    purpose, title = (__doc__ or "").splitlines()[0], "Results: stored, shown live, and what they cost"
    return run("ingest", title, purpose, measure, full=FULL, quick=QUICK)


def measure(scale: Scale, steps: Steps) -> list[Figure]:
    """All figures. The cost is measured on a server of its own, which has nothing stored and nothing in memory."""
    with steps.step("starting a server"):
        server = Server()
    with server:
        books = Books(server)
        found = answer_to_frame.measure(server, books, scale, steps)
        found += throughput.measure(server, books, scale, steps)
        faults = Counter(books.check())
    with steps.step("starting a new server"):
        server = Server()
    with server:
        books = Books(server)
        found += growth.measure(server, books, scale, steps)
        faults.update(books.check())
    return found + [figure(name, count, "", at_most=0) for name, count in faults.items()]


if __name__ == "__main__":
    sys.exit(main())
