"""What mailbox, owners, couriers and scheduler measure of themselves, for Prometheus; `docs/metrics.md` explains it.

An actor keeps its counters and buckets in its own process and gives all of them away when it is asked; the gateway
prints them. Nothing is counted per test.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from orchestrator.executions.events import AnyEvent
from orchestrator.webhooks.model import DeliveryStatus
from storage.deliveries import Attempt

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Upper bounds of what should take milliseconds, and takes seconds on a bad night."""

_LATE_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_EVENTS = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyEvent))
_ANSWERS = {2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}
_OTHER, _NONE = "other", "none"

_process = ProcessCollector(namespace="tms", registry=None)


def of_process(name: str) -> Iterator[Metric]:
    """CPU, memory, open files and start of this process (on Linux), labelled by what it is, such as `owner-0`."""
    for family in _process.collect():
        family.samples = [sample._replace(labels={"process": name}) for sample in family.samples]
        yield family


class Number(msgspec.Struct, frozen=True):
    """A number of an actor's status, and the metric that it is exported as.

    Attributes:
        key: its name in the status.
        metric: the metric's, without the prefix of the actor's kind.
        help: what it is.
        is_counter: it only grows.
        may_be_unknown: 0 says that it is not known at the moment; then there is no sample, which is no fall to 0.
    """

    key: str
    metric: str
    help: str
    is_counter: bool = False
    may_be_unknown: bool = False


OF_OWNER = (
    Number("commands", "commands", "Commands carried out", is_counter=True),
    Number("failed_commits", "failed_commits", "Transactions that failed", is_counter=True),
    Number("epoch", "claims", "Times that an owner took the partition, ever", is_counter=True, may_be_unknown=True),
    Number("resyncs", "resyncs", "Times that live readers were sent to the log instead of news", is_counter=True),
    Number("queued", "queued_commands", "Commands that wait for the next transaction"),
    Number("unannounced", "unannounced_commits", "Commits that the bus was not told of yet"),
    Number("executions_in_memory", "executions", "Unfinished executions in memory"),
    Number("deadlines", "deadlines", "Unfinished executions with a deadline"),
    Number("leases", "leases", "Open leases of runners"),
    Number("overdue_seconds", "overdue_seconds", "How long the earliest deadline has passed without effect"),
    Number("pid", "pid", "Id of its process"),
)

OF_COURIER = (
    Number("failed_commits", "failed_commits", "Transactions that failed", is_counter=True),
    Number("epoch", "claims", "Times that a process became it, ever", is_counter=True, may_be_unknown=True),
    Number("disabled", "disabled_webhooks", "Webhooks given up for lasting failure", is_counter=True),
    Number("fetches", "fetches", "Reads of due deliveries", is_counter=True),
    Number("webhooks", "webhooks", "Webhooks of this courier, active or not"),
    Number("failing", "failing_webhooks", "Webhooks that have failed since their last success"),
    Number("held_back", "open_breakers", "Webhooks whose first attempts are held back"),
    Number("due", "due_deliveries", "Deliveries of active webhooks that are due and not over, 10,000 at the most"),
    Number("oldest_due_seconds", "oldest_due_seconds", "Age of the oldest of them to an endpoint that works"),
    Number("waiting", "waiting_deliveries", "Due deliveries in memory"),
    Number("in_flight", "requests_under_way", "Requests under way"),
    Number("unrecorded", "unrecorded_outcomes", "Requests that ended and are not recorded yet"),
    Number("pid", "pid", "Id of its process"),
)


OF_SCHEDULER = (
    Number("started_shards", "started_shards", "Managed shards started, again or for the first time", is_counter=True),
    Number("lost_runners", "lost_runners", "Runners of managed shards that died or fell silent", is_counter=True),
    Number("runners", "runners", "Managed shards that run"),
    Number("pid", "pid", "Id of its process"),
)


class _Actor:
    """The metrics of one actor, which all carry its number as a label. Counters are there from the start, at 0."""

    def __init__(self, kind: str, label: str, number: int) -> None:
        self._name = f"{kind}-{number}"
        self._prefix = f"tms_{kind}"
        self._label = label
        self._number = str(number)
        self._registry = CollectorRegistry()

    def histogram(self, name: str, about: str, buckets: Sequence[float]) -> Histogram:
        made = Histogram(f"{self._prefix}_{name}", about, (self._label,), buckets=buckets, registry=self._registry)
        return made.labels(self._number)

    def counter(self, name: str, about: str) -> Counter:
        made = Counter(f"{self._prefix}_{name}", about, (self._label,), registry=self._registry)
        return made.labels(self._number)

    def counters(self, name: str, about: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
        made = Counter(f"{self._prefix}_{name}", about, (self._label, label), registry=self._registry)
        return {value: made.labels(self._number, value) for value in values}

    def families(self, numbers: Iterable[Number], status: Mapping[str, float]) -> list[Metric]:
        told = (self._family(number, status[number.key]) for number in numbers)
        return [*told, *self._registry.collect(), *of_process(self._name)]

    def _family(self, number: Number, value: float) -> Metric:
        kind = CounterMetricFamily if number.is_counter else GaugeMetricFamily
        family = kind(f"{self._prefix}_{number.metric}", number.help, labels=(self._label,))
        if value or not number.may_be_unknown:
            family.add_metric((self._number,), value)
        return family


class OwnerMeasures:
    """Of one owner."""

    def __init__(self, partition: int) -> None:
        self._actor = actor = _Actor("owner", "partition", partition)
        self._commit_seconds = actor.histogram("commit_seconds", "Time of a transaction, as a whole", SECONDS)
        self._commit_commands = actor.histogram("commit_commands", "Commands in a transaction", _BATCHES)
        self._announce_seconds = actor.histogram(
            "announce_seconds", "From a commit until the bus has its news", SECONDS
        )
        self._tests = actor.counter("tests", "Results of single tests stored")
        self._events = actor.counters("events", "Events committed", "event", _EVENTS)

    def committed(self, commands: int, tests: int, events: Mapping[str, int], seconds: float) -> None:
        """A batch was committed: so many commands, results of single tests, and events of each name."""
        self._commit_seconds.observe(seconds)
        self._commit_commands.observe(commands)
        self._tests.inc(tests)
        for event, number in events.items():
            self._events[event].inc(number)

    def announced(self, seconds: float) -> None:
        """The bus has the news of a commit, so long after it."""
        self._announce_seconds.observe(seconds)

    def families(self, status: Mapping[str, float]) -> list[Metric]:
        """Everything, with the numbers of the owner's status."""
        return self._actor.families(OF_OWNER, status)


class SchedulerMeasures:
    """Of the scheduler of managed shards."""

    def __init__(self, number: int) -> None:
        self._actor = _Actor("scheduler", "scheduler", number)

    def families(self, status: Mapping[str, float]) -> list[Metric]:
        """The numbers of its status."""
        return self._actor.families(OF_SCHEDULER, status)


class CourierMeasures:
    """Of one courier."""

    def __init__(self, courier: int) -> None:
        self._actor = actor = _Actor("courier", "courier", courier)
        self._late_seconds = actor.histogram(
            "late_seconds", "From when a delivery was due to its request", _LATE_SECONDS
        )
        self._attempt_seconds = actor.histogram("attempt_seconds", "From a request to its answer", SECONDS)
        self._commit_seconds = actor.histogram("commit_seconds", "Time of a transaction, as a whole", SECONDS)
        answers = (*_ANSWERS.values(), _OTHER, _NONE)
        self._attempts = actor.counters("attempts", "Requests that ended, by status of the answer", "answer", answers)
        self._retries = actor.counter("retries", "Requests for deliveries that had failed before")
        over = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)
        self._deliveries = actor.counters("deliveries", "Deliveries that are over", "status", over)

    def attempted(self, attempt: Attempt, *, is_retry: bool) -> None:
        """A request ended."""
        outcome, status = attempt.outcome, attempt.status
        code = outcome.status_code
        self._attempts[_NONE if code is None else _ANSWERS.get(code // 100, _OTHER)].inc()
        self._attempt_seconds.observe(outcome.duration_ms / 1000)
        self._late_seconds.observe((outcome.at - attempt.was_due_at).total_seconds())
        if is_retry:
            self._retries.inc()
        if status is not DeliveryStatus.PENDING:
            self._deliveries[status].inc()

    def committed(self, seconds: float) -> None:
        """Outcomes were recorded in one transaction."""
        self._commit_seconds.observe(seconds)

    def families(self, status: Mapping[str, float]) -> list[Metric]:
        """Everything, with the numbers of the courier's status."""
        return self._actor.families(OF_COURIER, status)


class MailboxMeasures:
    """Of the mailbox of one gateway, all by partition; a collector for the gateway's registry.

    Args:
        partitions: how many there are.
        depths: tells how many commands wait or are under way, for each of them.
    """

    def __init__(self, partitions: int, depths: Callable[[], Sequence[int]]) -> None:
        self._depths = depths
        self._registry = CollectorRegistry()
        self._call_seconds = self._histogram("call_seconds", "From sending a batch to its owner's answer", SECONDS)
        self._batch_commands = self._histogram("batch_commands", "Commands in a batch", _BATCHES)
        self._repeated = self._counter("repeated_commands", "Commands to be sent once more")
        self._given_up = self._counter("given_up_commands", "Commands that could not be carried out in time")
        for partition in range(partitions):
            self._repeated.labels(partition)
            self._given_up.labels(partition)

    def called(self, partition: int, commands: int, seconds: float) -> None:
        """A batch was sent to its owner, and answered or lost."""
        self._call_seconds.labels(partition).observe(seconds)
        self._batch_commands.labels(partition).observe(commands)

    def repeated(self, partition: int, commands: int) -> None:
        """Commands that nobody knows the end of are to be sent once more."""
        self._repeated.labels(partition).inc(commands)

    def given_up(self, partition: int, commands: int) -> None:
        """Commands were refused: too many waited already, or their owner was away for too long."""
        self._given_up.labels(partition).inc(commands)

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        waiting = GaugeMetricFamily("tms_mailbox_commands", "Commands waiting or under way", labels=("partition",))
        for partition, depth in enumerate(self._depths()):
            waiting.add_metric((str(partition),), depth)
        yield waiting
        yield from self._registry.collect()

    def _histogram(self, name: str, about: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"tms_mailbox_{name}", about, ("partition",), buckets=buckets, registry=self._registry)

    def _counter(self, name: str, about: str) -> Counter:
        return Counter(f"tms_mailbox_{name}", about, ("partition",), registry=self._registry)
