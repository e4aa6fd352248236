"""Numbers of the gateway and of every owner, for Prometheus."""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.services import OwnerStatus
from orchestrator.errors import TMSError

OWNER_SECONDS = 2.0
"""How long an owner may take to tell its numbers."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

# What an owner counts up; everything else it tells goes up and down.
_COUNTED = frozenset({"commands", "commits", "commit_seconds", "failed_commits", "claims"})


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

    async def text(self, depths: Sequence[int], owners: Sequence[OwnerStatus]) -> bytes:
        """Everything in Prometheus' text format; an owner that is away is told by `tms_owner_up` 0."""
        for partition, depth in enumerate(depths):
            self._waiting.labels(str(partition)).set(depth)
        told = await asyncio.gather(*(numbers_of(owner) for owner in owners))
        of_owners = CollectorRegistry()
        of_owners.register(_Owners(told))
        return generate_latest(self.registry) + generate_latest(of_owners)


METRICS = web.AppKey("metrics", Metrics)


async def numbers_of(owner: OwnerStatus) -> Mapping[str, float] | None:
    """An owner's numbers; None where it is away."""
    try:
        async with asyncio.timeout(OWNER_SECONDS):
            return await owner()
    except (TMSError, TimeoutError):
        return None


class _Owners(Collector):
    """The numbers of all partitions' owners, asked beforehand."""

    def __init__(self, told: Sequence[Mapping[str, float] | None]) -> None:
        self._told = told

    def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        """One family a number, labelled by partition."""
        up = GaugeMetricFamily("tms_owner_up", "Whether the owner of a partition answers", labels=("partition",))
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for partition, numbers in enumerate(self._told):
            up.add_metric((str(partition),), 0.0 if numbers is None else 1.0)
            for name, value in (numbers or {}).items():
                if name not in families:
                    kind = CounterMetricFamily if name in _COUNTED else GaugeMetricFamily
                    families[name] = kind(f"tms_owner_{name}", f"Of the owner: {name}", labels=("partition",))
                families[name].add_metric((str(partition),), value)
        return [up, *families.values()]
