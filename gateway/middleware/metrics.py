"""What gateway, owners, couriers and scheduler measure, in Prometheus' text format; `docs/metrics.md` lists it."""

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from actors.measures import SECONDS, of_process
from gateway.middleware.under_way import UnderWay
from gateway.services import Actor
from orchestrator.errors import TMSError

ACTOR_SECONDS = 2.0
"""How long an actor may take to tell of itself."""

TAKEN, REFUSED, UNCOUNTED = "taken", "refused", "uncounted"
"""What became of a request to a route with a limit; uncounted where the counters are away."""

_LIMITS = ("webhooks",)

T = TypeVar("T")


class Metrics:
    """The gateway's own numbers; other parts of it may register theirs in `registry`."""

    def __init__(self, under_way: UnderWay, collectors: Iterable[Collector]) -> None:
        self.registry = CollectorRegistry()
        for collector in collectors:
            self.registry.register(collector)
        Info("tms_build", "Version of the server", registry=self.registry).info(
            {"version": importlib.metadata.version("tms-orchestrator")}
        )
        Gauge("tms_http_requests_under_way", "Requests being answered", registry=self.registry).set_function(
            lambda: under_way.number
        )
        self._requests = Counter(
            "tms_http_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "tms_http_request_seconds",
            "From a request's head to its answer",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._limited = Counter(
            "tms_http_limited_requests",
            "Requests to routes with a limit an hour, by what became of them",
            ("limit", "outcome"),
            registry=self.registry,
        )
        for limit in _LIMITS:
            for outcome in (TAKEN, REFUSED, UNCOUNTED):
                self._limited.labels(limit, outcome)
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

    def observe_limit(self, limit: str, outcome: str) -> None:
        """Count one request to a route with a limit."""
        self._limited.labels(limit, outcome).inc()

    async def text(self, actors: Mapping[str, Sequence[Actor]]) -> bytes:
        """Everything; an actor that is away is told by `tms_owner_up` 0, and so on."""
        told = await asyncio.gather(*(_of_actors(kind, each) for kind, each in actors.items()))
        return generate_latest(_Merged(chain(self.registry.collect(), of_process("gateway"), *told)))


METRICS = web.AppKey("metrics", Metrics)

_LABELS = {"owner": "partition", "courier": "courier", "scheduler": "scheduler"}


async def answer_of(question: Awaitable[T]) -> T | None:
    """What an actor answers; None where it is away."""
    try:
        async with asyncio.timeout(ACTOR_SECONDS):
            return await question
    except (TMSError, TimeoutError):
        return None


async def _of_actors(kind: str, actors: Sequence[Actor]) -> list[Metric]:
    """What those tell that answer, and which they are."""
    told = await asyncio.gather(*(answer_of(actor.metrics()) for actor in actors))
    up = GaugeMetricFamily(f"tms_{kind}_up", f"Whether the {kind} answers", labels=(_LABELS[kind],))
    for number, families in enumerate(told):
        up.add_metric((str(number),), families is not None)
    return [up, *chain.from_iterable(filter(None, told))]


class _Merged(Collector):
    """One family a name, whoever told of it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All families; without the moments at which counters were made, a series more for each, of no use here."""
        merged: dict[str, Metric] = {}
        for family in self._families:
            into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            into.samples += [sample for sample in family.samples if not sample.name.endswith("_created")]
        yield from merged.values()
