"""What dead endpoints cost the others: some that never answer, and some that refuse connections."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks import filling, registry
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.outgoing import Outgoing
from benchmarks.receiver import HANGING, Receiver
from benchmarks.serving import Server
from benchmarks.steps import Steps
from benchmarks.webhook_scale import Scale
from orchestrator.webhooks.model import Webhook

SHARE = 10
"""One endpoint in so many hangs, and as many refuse."""


class _Side(msgspec.Struct):
    """The turns with the dead ones, or those without: deliveries a second of a backlog, and delays in milliseconds."""

    rates: list[float] = []
    delays: list[float] = []


def measure(
    server: Server, receiver: Receiver, outgoing: Outgoing, endpoints: Sequence[Webhook], scale: Scale, steps: Steps
) -> list[Figure]:
    """With dead ones and without by turns; the healthy ones are the same in all."""
    share = len(endpoints) // SHARE
    healthy = endpoints[2 * share :]
    alone, beside = _Side(), _Side()
    for number in range(1, scale.rounds + 1):
        for name, dead, side in (("alone", 0, alone), (f"beside {2 * share} dead ones", share, beside)):
            filling.settle(server.database_url, filling.DELIVERIES)
            what = f"a backlog of {len(healthy)} endpoints"
            with steps.step(f"{what} {name}, round {number}"), _dead(server, receiver, dead) as others:
                side.rates.append(outgoing.backlog(healthy, scale.each, dead=others).rate)
            filling.settle(server.database_url, filling.DELIVERIES)
            what = f"{scale.rate * len(healthy):g} deliveries/s to {len(healthy)} endpoints"
            with steps.step(f"{what} {name}, round {number}"), _dead(server, receiver, dead) as others:
                side.delays += outgoing.steady(healthy, scale.rate, scale.seconds, dead=others)
    figures = _figures(alone, beside, f"{len(healthy)} endpoints beside {2 * share} dead, by alone")
    return [*figures, figure("requests to dead endpoints that hung until their timeout", outgoing.hung, "")]


def _figures(alone: _Side, beside: _Side, what: str) -> list[Figure]:
    rate, p50, p99 = median(beside.rates), median(beside.delays), percentile(beside.delays, 0.99)
    p99_alone = percentile(alone.delays, 0.99)
    return [
        figure(f"delivered, {what}", rate, "deliveries/s", floor=median(alone.rates), at_least=0.85),
        figure(f"p50, commit to arrival, {what}", p50, "ms", floor=median(alone.delays)),
        figure(f"p99, commit to arrival, {what}", p99, "ms", floor=p99_alone, at_most=1.15),
    ]


@contextmanager
def _dead(server: Server, receiver: Receiver, each: int) -> Iterator[list[Webhook]]:
    """So many endpoints that hang, and as many that refuse."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and not listening: a port that is sure to refuse
        urls = [f"http://127.0.0.1:{receiver.port}{HANGING}/{number}" for number in range(each)]
        urls += [f"http://127.0.0.1:{deaf.getsockname()[1]}/refusing/{number}" for number in range(each)]
        registered = registry.register(server, urls)
        try:
            yield registered
        finally:
            registry.remove(server, registered)
