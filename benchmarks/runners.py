"""`python -m benchmarks.runners`: how evenly tests are dealt out, what a claim costs, and what the plugin adds.

README.md says what each figure means. With `--quick` everything is measured in small, to see that it works.
"""

import sys

from benchmarks import claiming, makespans, suite_runs
from benchmarks.figures import Figure
from benchmarks.run import run
from benchmarks.runner_scale import FULL, QUICK, Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps


def main() -> int:
    """Measure, print and write."""
    purpose, title = (__doc__ or "").splitlines()[0], "Runners: dealt out evenly, and what it costs"
    return run("runners", title, purpose, measure, full=FULL, quick=QUICK)


def measure(scale: Scale, steps: Steps) -> list[Figure]:
    """All figures, those of claims from one server."""
    found = makespans.measure(steps)
    with steps.step("starting a server"):
        server = Server()
    with server:
        found += claiming.measure(server, scale, steps)
        found += suite_runs.measure(server, scale, steps)
    return found


if __name__ == "__main__":
    sys.exit(main())
