"""A benchmark as a program: measures, prints the table, writes the file."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.steps import Steps

Scale = TypeVar("Scale")


def run(
    name: str,
    title: str,
    purpose: str,
    measure: Callable[[Scale, Steps], Sequence[Figure]],
    *,
    full: Scale,
    quick: Scale,
) -> int:
    """Run a benchmark as the arguments of the command want it.

    Args:
        name: of the module, and of the file with the results.
        title: of the table.
        purpose: what `--help` says.
        measure: gives all figures.
        full: how much to measure.
        quick: how much with `--quick`.

    Returns:
        The exit code: 1 if anything was lost that may not be.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=purpose)
    parser.add_argument("--quick", action="store_true", help="in small, to see that it works")
    is_quick = parser.parse_args().quick
    # As Ctrl-C does: the servers and helpers that were started end with their `with` blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = figures.make_console()
    found = measure(quick if is_quick else full, Steps(console))
    figures.show(title, found, console)
    console.print(f"Written to {figures.write(f'{name}-quick' if is_quick else name, found)}", highlight=False)
    return int(any(one.is_loss for one in found))
