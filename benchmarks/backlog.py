"""How fast a backlog is delivered: by the couriers, by a bare client, by Celery and by procrastinate."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from actors.endpoint_lane import CONCURRENCY
from actors.lanes import IN_FLIGHT
from benchmarks import client_loop, filling, on_celery, on_procrastinate, posts, registry
from benchmarks.companions import alone
from benchmarks.figures import Figure, figure, median
from benchmarks.on_celery import Pool
from benchmarks.outgoing import Outgoing
from benchmarks.posts import Post
from benchmarks.receiver import Arrived, Receiver
from benchmarks.serving import Server
from benchmarks.steps import Steps
from benchmarks.webhook_scale import Scale
from orchestrator.webhooks.model import Webhook

ARRIVE_SECONDS = 300.0


class _Rounds(msgspec.Struct):
    ours: list[float] = []
    floors: list[float] = []
    celery: dict[str, list[float]] = msgspec.field(default_factory=lambda: defaultdict(list))
    procrastinate: list[float] = []
    costs: dict[str, list[float]] = msgspec.field(default_factory=lambda: defaultdict(list))


def measure(
    server: Server, receiver: Receiver, outgoing: Outgoing, healthy: Sequence[Webhook], scale: Scale, steps: Steps
) -> list[Figure]:
    """All by turns; each has as many requests under way as the couriers, and as many worker processes."""
    turns = _Turns(server, receiver, outgoing, healthy, scale)
    rounds = _Rounds()
    with steps.step("making the tables of procrastinate"):
        on_procrastinate.prepare(server.database_url)
    for number in range(1, scale.rounds + 1):
        with steps.step(f"couriers, {scale.backlog:,} deliveries, round {number}"):
            arrived, cost = turns.couriers()
            rounds.ours.append(arrived.rate)
            for part, milliseconds in cost.items():
                rounds.costs[part].append(milliseconds)
        with steps.step(f"floor: a bare client, {turns.in_flight} requests under way, round {number}"):
            rounds.floors.append(turns.bare_client().rate)
        for pool in turns.pools:
            with steps.step(f"Celery, {pool.workers} x {pool.concurrency} {pool.name}, round {number}"):
                rounds.celery[pool.name].append(turns.celery(pool).rate)
        with steps.step(f"procrastinate, {turns.in_flight} jobs under way, round {number}"):
            rounds.procrastinate.append(turns.procrastinate().rate)
    return _figures(rounds, len(healthy))


class _Turns:
    """The same job for each."""

    def __init__(
        self, server: Server, receiver: Receiver, outgoing: Outgoing, healthy: Sequence[Webhook], scale: Scale
    ) -> None:
        self._server = server
        self._receiver = receiver
        self._outgoing = outgoing
        self._healthy = healthy
        self._each = scale.backlog // len(healthy)
        self._workers = registry.couriers(server.database_url)
        self.in_flight = min(CONCURRENCY * len(healthy), IN_FLIGHT * self._workers)
        self.pools = on_celery.pools(self._workers, self.in_flight)

    def couriers(self) -> tuple[Arrived, dict[str, float]]:
        """Also the CPU milliseconds of a delivery, in each part of the server, until all is recorded."""
        filling.settle(self._server.database_url, filling.DELIVERIES)
        before = self._server.cpu_seconds()
        arrived = self._outgoing.backlog(self._healthy, self._each)
        after = self._server.cpu_seconds()
        amount = self._each * len(self._healthy)
        return arrived, {part: 1000 * (after[part] - before[part]) / amount for part in after}

    def bare_client(self) -> Arrived:
        made = self._posts()
        alone(ARRIVE_SECONDS, client_loop.post_all, made, self.in_flight)
        return self._arrived(made)

    def celery(self, pool: Pool) -> Arrived:
        made = self._posts()
        return on_celery.deliver(self._server.redis_url, pool, made, lambda: self._arrived(made))

    def procrastinate(self) -> Arrived:
        made = self._posts()
        return on_procrastinate.deliver(
            self._server.database_url, self._workers, self.in_flight, made, lambda: self._arrived(made)
        )

    def _posts(self) -> list[Post]:
        return posts.made_for([webhook.url for webhook in self._healthy], self._each * len(self._healthy))

    def _arrived(self, made: Sequence[Post]) -> Arrived:
        return self._receiver.arrived(len(made), ARRIVE_SECONDS)


def _figures(rounds: _Rounds, endpoints: int) -> list[Figure]:
    ours, unit = median(rounds.ours), "deliveries/s"
    celery = {pool: median(rates) for pool, rates in rounds.celery.items()}
    best = max(celery, key=celery.__getitem__)
    what = f"delivered, {endpoints} endpoints"
    return [
        figure(f"{what}, by a bare client", ours, unit, floor=median(rounds.floors), at_least=0.5),
        figure(f"{what}, by Celery ({best})", ours, unit, floor=celery[best], at_least=3),
        figure(f"{what}, by procrastinate", ours, unit, floor=median(rounds.procrastinate), at_least=3),
        *(figure(f"delivered by Celery ({pool})", rate, unit) for pool, rate in celery.items()),
        *(figure(f"CPU of a delivery: {part}", median(costs), "ms") for part, costs in rounds.costs.items()),
    ]
