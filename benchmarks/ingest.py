"""`python -m benchmarks.ingest`: how fast results are taken, stored and shown, and what that costs.

README.md says what each figure means. With `--quick` everything is measured in small, to see that it works.
"""

import argparse
import signal
import sys
from collections import Counter

from benchmarks import figures, growth, live, throughput
from benchmarks.books import Books
from benchmarks.figures import Figure, figure
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps


def main() -> int:
    """Measure, print and write; returns 1 if anything acknowledged was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in small, to see that it works")
    is_quick = parser.parse_args().quick
    scale, name = (QUICK, "ingest-quick") if is_quick else (FULL, "ingest")
    # As Ctrl-C does: the servers and helpers that were started end with their `with` blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = figures.make_console()
    found = measure(scale, Steps(console))
    figures.show("Results: stored, shown live, and what they cost", found, console)
    console.print(f"Written to {figures.write(name, found)}", highlight=False)
    return int(any(one.is_loss for one in found))


def measure(scale: Scale, steps: Steps) -> list[Figure]:
    """All figures. The cost is measured on a server of its own, which has nothing stored and nothing in memory."""
    with steps.step("starting a server"):
        server = Server()
    with server:
        books = Books(server)
        found = live.measure(server, books, scale, steps)
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
