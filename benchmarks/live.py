"""`python -m benchmarks.live`: from a commit to a thousand live readers, what a stalled one costs, and the first view.

README.md says what each figure means. With `--quick` everything is measured in small, to see that it works.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from time import sleep
from urllib.parse import urlsplit

import msgspec

from benchmarks import commits, fanout, first_view, readers, stalled
from benchmarks.client import CREATED, OK, WEEK_MS, Address, send_all, with_body
from benchmarks.companions import Companion, alone
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.live_scale import FULL, QUICK, Scale
from benchmarks.load import START_SECONDS, Outcome, Plan, Target, Wording, submit_alone
from benchmarks.made_up import FIRST_NUMBER
from benchmarks.readers import Seen
from benchmarks.run import run
from benchmarks.serving import Server
from benchmarks.steps import Steps

CONNECTIONS = 32
ALL = "/api/live"

LAST_FRAMES_SECONDS = 2.0
"""How long frames may still come after the last answer; nothing tells that none will."""


class Watched(msgspec.Struct, frozen=True, rename="camel"):
    """An execution as its creation answered: where and with which token its runner tells of it."""

    execution_id: str
    webhook_url: str
    webhook_token: str


class Turn(msgspec.Struct, kw_only=True):
    """What came of one turn.

    Attributes:
        delays: milliseconds from each commit, or publish, to the frame at each reader.
        missing: frames that did not come, or came out of order, and requests that were refused.
        example: a frame.
        gateway_seconds: CPU of the gateway meanwhile.
    """

    delays: list[float]
    missing: int
    example: bytes
    gateway_seconds: float = 0.0


def main() -> int:
    """Measure, print and write; returns 1 if a reader missed an event."""
    purpose, title = (__doc__ or "").splitlines()[0], "Live: from commit to frame"
    return run("live", title, purpose, measure, full=FULL, quick=QUICK)


def measure(scale: Scale, steps: Steps) -> list[Figure]:
    """All figures, from one server."""
    with steps.step("starting a server"):
        server = Server()
    with server, Companion(fanout.serve, server.redis_url) as bare:
        floor_at = msgspec.structs.replace(server.address, port=bare.hear(START_SECONDS))
        watched = alone(START_SECONDS, _created, server.address, scale.executions)
        turns = _Turns(server, watched, scale)
        with steps.step(f"connecting {scale.readers:,} readers"):
            found = [turns.memory()]
        reading, beside, floors = [], [], []
        for number in range(1, scale.rounds + 1):
            with steps.step(f"server, all are reading, round {number}"):
                reading.append(turns.of_server(readers.read, [ALL]))
            with steps.step(f"server, one has stopped reading, round {number}"):
                beside.append(turns.of_server(stalled.stall, ALL))
            with steps.step(f"floor: Valkey and a bare websocket server, round {number}"):
                floors.append(turns.of_floor(floor_at, reading[-1].example))
        dropped = server.metric("tms_live_overflows_total")
        viewed = first_view.measure(server.address, scale, steps)
    return [
        *_figures(reading, beside, floors, scale),
        *found,
        *viewed,
        figure("times that the stalled reader's frames were dropped", dropped, "", at_least=1),
    ]


class _Turns:
    """Takes turns of a server and its floor, with the same events, readers and processes."""

    def __init__(self, server: Server, watched: Sequence[Watched], scale: Scale) -> None:
        self._server = server
        self._scale = scale
        self._next = FIRST_NUMBER
        self._ids = [one.execution_id for one in watched]
        self._wording = partial(progress, {one.execution_id: one for one in watched})

    def memory(self) -> Figure:
        """What a connected reader takes in the gateway."""
        before = self._server.gateway_bytes()
        with self._readers(self._server.address, "/api/executions/{}/live"):
            after = self._server.gateway_bytes()
        return figure(
            "memory of a connected reader in the gateway", (after - before) / self._scale.readers / 1024, "KiB"
        )

    def of_server(self, beside: Callable[..., None], *where: object) -> Turn:
        """Events happen while all are reading; another reader, of all executions, does as it likes."""
        server, scale = self._server, self._scale
        plan = Plan(
            targets=[(execution_id, number) for number in range(CONNECTIONS) for execution_id in self._ids],
            connections=CONNECTIONS,
            seconds=scale.seconds,
            warm_seconds=scale.warm_seconds,
            rate=scale.rate * len(self._ids),
            first=self._next,
            wording=self._wording,
        )
        with ExitStack() as stack:
            noting = stack.enter_context(Companion(commits.note, server.redis_url))
            noting.hear(START_SECONDS)
            reading = stack.enter_context(self._readers(server.address, "/api/executions/{}/live"))
            other = stack.enter_context(Companion(beside, server.address, *where))
            other.hear(readers.CONNECT_SECONDS)
            used = server.cpu_seconds()["gateway"]
            outcome: Outcome = submit_alone(server.address, plan)
            used = server.cpu_seconds()["gateway"] - used
            self._next = outcome.next
            seen = _seen(reading)
            noting.tell("enough")
            committed: dict[int, float] = noting.hear(readers.TELL_SECONDS)
        turn = self._turn(committed, seen)
        turn.missing += sum(outcome.refused.values()) + len(outcome.acknowledged.keys() - committed.keys())
        turn.gateway_seconds = used
        return turn

    def of_floor(self, address: Address, example: bytes) -> Turn:
        """As many frames like an example are published."""
        scale = self._scale
        with self._readers(address, fanout.path_of("{}")) as reading:
            seconds = scale.warm_seconds + scale.seconds
            work = (self._server.redis_url, example, self._ids, scale.rate * len(self._ids), seconds)
            published = alone(START_SECONDS + seconds, fanout.publish, *work)
            return self._turn({number: began for number, (began, _) in published.items()}, _seen(reading))

    def _readers(self, address: Address, path: str) -> Companion:
        """All readers, connected."""
        each = self._scale.readers // len(self._ids)
        made = Companion(readers.read, address, [path.format(execution_id) for execution_id in self._ids] * each)
        made.hear(readers.CONNECT_SECONDS)
        return made

    def _turn(self, began: Mapping[int, float], seen: Seen) -> Turn:
        since = min(began.values()) + self._scale.warm_seconds
        delays = [
            1000 * (moment - began[number])
            for number, moment in zip(seen.numbers, seen.moments, strict=True)
            if began.get(number, 0.0) >= since
        ]
        expected = len(began) * (self._scale.readers // len(self._ids))
        return Turn(
            delays=delays, missing=abs(expected - len(seen.numbers)) + seen.gaps + seen.closed, example=seen.example
        )


def _created(address: Address, amount: int) -> list[Watched]:
    """Executions that run, each with a week to do so."""
    wanted = {
        "testSuite": "regression",
        "environment": "staging",
        "provider": "github-actions",
        "configuration": {"shards": 8, "timeout": WEEK_MS},
    }
    body = msgspec.json.encode(wanted)
    answers = send_all(address, [address.request("POST", "/api/executions", body)] * amount, CREATED)
    made = msgspec.json.decode(b"[" + b",".join(answers) + b"]", type=list[Watched])
    start = msgspec.json.encode({"event": "execution.started", "timestamp": datetime.now(UTC)})
    send_all(address, [with_body(_head(address, one), start) for one in made], OK)
    return made


def progress(watched: Mapping[str, Watched], address: Address) -> Wording:
    """Sends a runner's word of its progress, which has the number in it."""
    heads = {execution_id: _head(address, one) for execution_id, one in watched.items()}

    def made(target: Target, number: int) -> bytes:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
        return with_body(
            heads[target[0]],
            b'{"event":"execution.progress","timestamp":"%b","data":{"total":%d,"current":"checkout: pays by card"}}'
            % (at, number),
        )

    return made


def _head(address: Address, watched: Watched) -> bytes:
    """Of a request that tells of an execution."""
    return msgspec.structs.replace(address, token=watched.webhook_token).head(
        "POST", urlsplit(watched.webhook_url).path
    )


def _seen(reading: Companion) -> Seen:
    sleep(LAST_FRAMES_SECONDS)
    reading.tell("enough")
    seen: Seen = reading.hear(readers.TELL_SECONDS)
    return seen


def _figures(reading: Sequence[Turn], beside: Sequence[Turn], floors: Sequence[Turn], scale: Scale) -> list[Figure]:
    ours, others, bare = ([delay for turn in turns for delay in turn.delays] for turns in (reading, beside, floors))
    load = f"{scale.readers:,} readers, {scale.executions} x {scale.rate:g} events/s"
    p50, p99 = median(ours), percentile(ours, 0.99)
    frames = sum(len(turn.delays) for turn in reading) * (1 + scale.warm_seconds / scale.seconds)
    microseconds = 1e6 * sum(turn.gateway_seconds for turn in reading) / frames
    return [
        figure(f"p50, commit to frame, {load}, by a bare fan-out", p50, "ms", floor=median(bare)),
        figure(f"p99, commit to frame, {load}, by a bare fan-out", p99, "ms", floor=percentile(bare, 0.99), at_most=3),
        figure(
            "p50 of the others, one has stopped reading, by all reading", median(others), "ms", floor=p50, at_most=1.1
        ),
        figure(
            "p99 of the others, one has stopped reading, by all reading",
            percentile(others, 0.99),
            "ms",
            floor=p99,
            at_most=1.25,
        ),
        figure("CPU of the gateway for a frame, taking in the events too", microseconds, "µs"),
        figure(
            "frames that a reader missed or got out of order",
            sum(turn.missing for turn in (*reading, *beside, *floors)),
            "",
            at_most=0,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
