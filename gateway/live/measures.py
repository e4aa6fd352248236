"""What the live protocol measures in a gateway process. Nothing is counted for each frame and reader."""

from collections.abc import Callable
from time import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from actors.measures import SECONDS
from storage.bus import News

SNAPSHOTS, EVENTS, TESTS = "snapshots", "events", "tests"
"""What is read from the log."""


class LiveMeasures:
    """Of one hub, its readers, and what is read for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._readers = Gauge("tms_live_readers", "Readers connected", registry=registry)
        self._bus = Gauge("tms_live_bus_up", "Whether the bus is listened to", registry=registry)
        self._lag = Histogram(
            "tms_live_lag_seconds",
            "From a commit until its events are handed to all readers of this gateway",
            buckets=SECONDS,
            registry=registry,
        )
        self._events = Counter("tms_live_events", "Events that the bus told of", registry=registry)
        self._overflows = Counter(
            "tms_live_overflows", "Times that what waited for a slow reader was dropped", registry=registry
        )
        self._closed = Counter("tms_live_closed", "Readers that left, by websocket code", ("code",), registry=registry)
        self._reads = Counter("tms_live_log_reads", "Reads of the log for readers", ("what",), registry=registry)
        for what in (SNAPSHOTS, EVENTS, TESTS):
            self._reads.labels(what)

    def look_at(self, readers: Callable[[], int], has_bus: Callable[[], bool]) -> None:
        """Tell these whenever somebody asks: how many readers there are, and whether the bus is listened to."""
        self._readers.set_function(readers)
        self._bus.set_function(has_bus)

    def passed_on(self, news: News) -> None:
        """News of a commit was handed to all readers that want it."""
        self._events.inc(len(news.events))
        if news.committed_at is not None:
            self._lag.observe(time() - news.committed_at)

    def overflowed(self) -> None:
        """A reader could not take all."""
        self._overflows.inc()

    def left(self, code: int) -> None:
        """A reader left, or was sent away."""
        self._closed.labels(code).inc()

    def read(self, what: str) -> None:
        """The log was read."""
        self._reads.labels(what).inc()
