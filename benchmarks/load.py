"""The load generator: sends over many connections, as a rule results, and keeps the books on what was acknowledged.

Each connection has one request under way and shards of its own, so that the last number acknowledged for a shard is
the one that has to be stored for it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import cycle
from time import monotonic

import msgspec
import uvloop

from benchmarks.client import CREATED, OK, Address, Client, LoadFailed, with_body
from benchmarks.companions import alone
from benchmarks.made_up import FIRST_NUMBER, forms

START_SECONDS = 30.0
DRAIN_SECONDS = 30.0

Target = tuple[str, int]
"""An execution, and the number of one of its shards."""

Wording = Callable[[Target, int], bytes]
"""Makes the request that tells a target of a number."""


def submissions(address: Address) -> Wording:
    """Sends results of 50 tests, whose total is the number."""
    kinds = forms()
    head = address.head("POST", "/api/results")
    return lambda target, number: with_body(head, kinds[number % len(kinds)].body(*target, number))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Submissions to send.

    Attributes:
        targets: at least one for each connection.
        seconds: how long it is measured, after `warm_seconds` that do not count.
        first: the first number to send; later ones follow one by one.
        rate: submissions a second; None sends the next as soon as one is answered.
        wording: makes what is sent, in the process that sends it.
    """

    targets: Sequence[Target]
    connections: int
    seconds: float
    warm_seconds: float = 0.0
    first: int = FIRST_NUMBER
    rate: float | None = None
    wording: Callable[[Address], Wording] = submissions


class Outcome(msgspec.Struct, kw_only=True):
    """What came of them.

    Attributes:
        seconds: the time measured.
        latencies: seconds from request to answer, of those answered in that time.
        last: the last number acknowledged, for each shard.
        acknowledged: for each number acknowledged, those of the warm-up and those under way at the end too, when it was
            sent and when answered, by the monotonic clock, which all processes share.
        refused: other answers, by status.
        next: the first number that was not sent.
    """

    seconds: float
    latencies: list[float]
    last: dict[Target, int]
    acknowledged: dict[int, tuple[float, float]]
    refused: dict[int, int]
    next: int

    @property
    def rate(self) -> float:
        """Submissions acknowledged a second."""
        return len(self.latencies) / self.seconds


def targets_of(execution_ids: Sequence[str], shards: int) -> list[Target]:
    """All shards of executions but the last of each, so that they go on running; neighbours are of different ones."""
    return [(execution_id, shard) for shard in range(1, shards) for execution_id in execution_ids]


def submit_alone(address: Address, plan: Plan) -> Outcome:
    """As `submit`, in a process of its own."""
    return alone(START_SECONDS + plan.warm_seconds + plan.seconds + DRAIN_SECONDS, submit, address, plan)


def submit(address: Address, plan: Plan) -> Outcome:
    """Send submissions as planned, and wait for the answers under way at the end.

    Raises:
        LoadFailed: the server closed a connection, or did not answer for long.
    """
    return uvloop.run(_Load(address, plan).run())


class _Lane:
    """A connection with shards of its own."""

    def __init__(self, load: "_Load", targets: Sequence[Target]) -> None:
        self._load = load
        self._targets = cycle(targets)
        self.client = Client(self._answered, load.lose)
        self.target = targets[0]
        self.number = 0
        self.sent = 0.0

    def send(self) -> None:
        """Send the next submission."""
        self.target = next(self._targets)
        self.number, request = self._load.take(self.target)
        self.sent = monotonic()
        self.client.send(request)

    def _answered(self, status: int, _body: bytes) -> None:
        self._load.note(self, status)


class _Load:
    def __init__(self, address: Address, plan: Plan) -> None:
        self._address = address
        self._plan = plan
        self._word = plan.wording(address)
        self._lanes = [_Lane(self, plan.targets[index :: plan.connections]) for index in range(plan.connections)]
        self._free: deque[_Lane] = deque(self._lanes)
        self._refused: Counter[int] = Counter()
        self._latencies: list[float] = []
        self._last: dict[Target, int] = {}
        self._acknowledged: dict[int, tuple[float, float]] = {}
        self._next = plan.first
        self._overdue = 0
        self._began = 0.0
        self._end = 0.0
        self._over = asyncio.Event()
        self._is_lost = False

    async def run(self) -> Outcome:
        await asyncio.gather(*(lane.client.connect(self._address) for lane in self._lanes))
        start = monotonic()
        self._began = start + self._plan.warm_seconds
        self._end = self._began + self._plan.seconds
        if self._plan.rate is None:
            while self._free:
                self._free.popleft().send()
        else:
            await self._send_at(self._plan.rate, start)
            self._end_if_all_is_answered()
        async with asyncio.timeout(max(0.0, self._end - monotonic()) + DRAIN_SECONDS):
            await self._over.wait()
        if self._is_lost:
            raise LoadFailed("the server closed a connection")
        for lane in self._lanes:
            lane.client.close()
        return Outcome(
            seconds=self._plan.seconds,
            latencies=self._latencies,
            last=self._last,
            acknowledged=self._acknowledged,
            refused=dict(self._refused),
            next=self._next,
        )

    async def _send_at(self, rate: float, start: float) -> None:
        """Send one after the other at even distances; those for which no connection is free as soon as one is."""
        sent = 0
        while (now := monotonic()) < self._end and not self._is_lost:
            due = int((now - start) * rate) - sent
            sent += due
            self._overdue += due
            while self._overdue and self._free:
                self._overdue -= 1
                self._free.popleft().send()
            await asyncio.sleep(start + (sent + 1) / rate - monotonic())

    def take(self, target: Target) -> tuple[int, bytes]:
        """The next number, and the request that submits it."""
        number = self._next
        self._next += 1
        return number, self._word(target, number)

    def note(self, lane: _Lane, status: int) -> None:
        """Keep the books, and go on."""
        now = monotonic()
        if status in (OK, CREATED):
            self._last[lane.target] = lane.number
            self._acknowledged[lane.number] = (lane.sent, now)
            if self._began <= now < self._end:
                self._latencies.append(now - lane.sent)
        else:
            self._refused[status] += 1
        is_to_send = self._plan.rate is None or self._overdue
        if now < self._end and is_to_send:
            self._overdue -= bool(self._overdue)
            lane.send()
            return
        self._free.append(lane)
        self._end_if_all_is_answered()

    def _end_if_all_is_answered(self) -> None:
        if monotonic() >= self._end and len(self._free) == len(self._lanes):
            self._over.set()

    def lose(self) -> None:
        """Give up."""
        self._is_lost = True
        self._over.set()
