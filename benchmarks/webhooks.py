"""`python -m benchmarks.webhooks`: how fast and how soon webhooks are delivered, and what dead ones cost others.

README.md says what each figure means. With `--quick` everything is measured in small, to see that it works.
"""

import sys

from benchmarks import backlog, claims, first_attempts, neighbours, registry
from benchmarks.figures import Figure, figure
from benchmarks.outgoing import Outgoing
from benchmarks.receiver import Receiver
from benchmarks.run import run
from benchmarks.serving import Server
from benchmarks.steps import Steps
from benchmarks.webhook_scale import FULL, QUICK, Scale

ENDPOINTS = 20


def main() -> int:
    """Measure, print and write; returns 1 if a delivery was lost, doubled or not recorded."""
    purpose, title = (__doc__ or "").splitlines()[0], "Webhooks: delivered, and kept from harming each other"
    return run("webhooks", title, purpose, measure, full=FULL, quick=QUICK)


def measure(scale: Scale, steps: Steps) -> list[Figure]:
    """All figures, from one server."""
    with steps.step("starting a server"):
        server = Server(**registry.SETTINGS)
    with server, Receiver() as receiver:
        outgoing = Outgoing(server, receiver)
        found = first_attempts.measure(server, receiver, outgoing, scale, steps)
        urls = [f"http://127.0.0.1:{receiver.port}/endpoint/{number}" for number in range(1, ENDPOINTS + 1)]
        endpoints = registry.register(server, urls)
        found = [*backlog.measure(server, receiver, outgoing, endpoints, scale, steps), *found]
        found += neighbours.measure(server, receiver, outgoing, endpoints, scale, steps)
        faults = outgoing.check()
        found += claims.measure(server, scale, steps)
    return found + [figure(name, count, "", at_most=0) for name, count in faults.items()]


if __name__ == "__main__":
    sys.exit(main())
