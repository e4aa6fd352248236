"""Numbers of the gateway and of every actor, for Prometheus."""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.services import ActorStatus
from orchestrator.errors import TMSError

ACTOR_SECONDS = 2.0
"""How long an actor may take to tell its numbers."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

# What an actor counts up; everything else it tells goes up and down.
_COUNTED = frozenset({
    *("commands", "commits", "commit_seconds", "failed_commits", "claims"),
    *("attempts", "failed_attempts", "disabled", "fetches"),
    *("started_shards", "lost_runners"),
})  # fmt: skip


class Metrics:
    """The gateway's own numbers; other parts of it may register theirs in `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tms_http_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "tms_http_request_seconds",
            "From a request's head to its answer",
            ("route", "method"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._waiting = Gauge(
            "tms_mailbox_commands", "Commands waiting or under way", ("partition",), registry=self.registry
        )
        # Finding a labelled child anew for each request would cost more than counting.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (route, method, status)
        children = self._children.get(key)
        if children is None:
            children = (self._requests.labels(route, method, str(status)), self._seconds.labels(route, method))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def observe_stream(self, route: str, method: str, status: int) -> None:
        """Count one request that was answered for as long as its reader stayed."""
        self._requests.labels(route, method, str(status)).inc()

    async def text(self, depths: Sequence[int], actors: Mapping[str, Sequence[ActorStatus]]) -> bytes:
        """Everything in Prometheus' text format; an actor that is away is told by `tms_owner_up` 0, and so on."""
        for partition, depth in enumerate(depths):
            self._waiting.labels(str(partition)).set(depth)
        of_actors = CollectorRegistry()
        for kind, each in actors.items():
            of_actors.register(_Actors(kind, await asyncio.gather(*(numbers_of(actor) for actor in each))))
        return generate_latest(self.registry) + generate_latest(of_actors)


METRICS = web.AppKey("metrics", Metrics)


async def numbers_of(actor: ActorStatus) -> Mapping[str, float] | None:
    """An actor's numbers; None where it is away."""
    try:
        async with asyncio.timeout(ACTOR_SECONDS):
            return await actor()
    except (TMSError, TimeoutError):
        return None


_LABELS = {"owner": "partition", "courier": "courier", "scheduler": "scheduler"}


class _Actors(Collector):
    """The numbers of all actors of a kind, asked beforehand."""

    def __init__(self, kind: str, told: Sequence[Mapping[str, float] | None]) -> None:
        self._kind = kind
        self._told = told

    def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        """One family a number, labelled by which of them it is of."""
        labels = (_LABELS[self._kind],)
        up = GaugeMetricFamily(f"tms_{self._kind}_up", f"Whether the {self._kind} answers", labels=labels)
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for number, numbers in enumerate(self._told):
            up.add_metric((str(number),), 0.0 if numbers is None else 1.0)
            for name, value in (numbers or {}).items():
                if name not in families:
                    kind = CounterMetricFamily if name in _COUNTED else GaugeMetricFamily
                    families[name] = kind(f"tms_{self._kind}_{name}", f"Of the {self._kind}: {name}", labels=labels)
                families[name].add_metric((str(number),), value)
        return [up, *families.values()]
