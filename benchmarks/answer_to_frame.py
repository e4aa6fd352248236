"""From the answer of a POST to the frame at a websocket reader, beside a bare fan-out of the same frames."""

from collections.abc import Sequence
from time import sleep

import msgspec

from benchmarks import fanout, readers
from benchmarks.books import Books
from benchmarks.client import Address
from benchmarks.companions import Companion, alone
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.load import START_SECONDS, Plan, targets_of
from benchmarks.readers import Seen
from benchmarks.scale import Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps

EXECUTIONS = 10
SHARDS = 8
CONNECTIONS = 32

LAST_FRAMES_SECONDS = 2.0
"""How long frames may still come after the last answer; nothing tells that none will."""


class _Turn(msgspec.Struct, kw_only=True):
    """What came of one turn.

    Attributes:
        from_request, from_answer: milliseconds from the request, and from its answer, to each frame at each reader.
        missing: frames that did not come, or came out of order.
        example: a frame.
    """

    from_request: list[float]
    from_answer: list[float]
    missing: int
    example: bytes


def measure(server: Server, books: Books, scale: Scale, steps: Steps) -> list[Figure]:
    """Server and floor by turns."""
    execution_ids = books.start(EXECUTIONS, SHARDS)
    ours: list[_Turn] = []
    floors: list[_Turn] = []
    with Companion(fanout.serve, server.redis_url) as bare:
        its_address = msgspec.structs.replace(server.address, port=bare.hear(START_SECONDS))
        for number in range(1, scale.rounds + 1):
            with steps.step(f"server, {scale.rate:g} submissions/s, {scale.readers} readers, round {number}"):
                ours.append(_of_server(server, books, execution_ids, scale))
            with steps.step(f"floor: Valkey and a bare websocket server, {scale.readers} readers, round {number}"):
                floors.append(_of_floor(server, its_address, ours[-1].example, execution_ids, scale))
    return _figures(ours, floors, scale)


def _of_server(server: Server, books: Books, execution_ids: Sequence[str], scale: Scale) -> _Turn:
    plan = Plan(
        targets=targets_of(execution_ids, SHARDS), connections=CONNECTIONS, seconds=scale.seconds, rate=scale.rate
    )
    paths = _paths([f"/api/executions/{execution_id}/live" for execution_id in execution_ids], scale)
    with Companion(readers.read, server.address, paths) as reading:
        reading.hear(readers.CONNECT_SECONDS)
        outcome = books.submit(plan)
        return _turn(outcome.acknowledged, _seen(reading), len(paths) // len(execution_ids))


def _of_floor(server: Server, address: Address, example: bytes, execution_ids: Sequence[str], scale: Scale) -> _Turn:
    paths = _paths([fanout.path_of(execution_id) for execution_id in execution_ids], scale)
    with Companion(readers.read, address, paths) as reading:
        reading.hear(readers.CONNECT_SECONDS)
        patience = START_SECONDS + scale.seconds
        work = (server.redis_url, example, execution_ids, scale.rate, scale.seconds)
        published = alone(patience, fanout.publish, *work)
        return _turn(published, _seen(reading), len(paths) // len(execution_ids))


def _paths(paths: list[str], scale: Scale) -> list[str]:
    return paths * (scale.readers // len(paths))


def _seen(reading: Companion) -> Seen:
    sleep(LAST_FRAMES_SECONDS)
    reading.tell("enough")
    seen: Seen = reading.hear(readers.TELL_SECONDS)
    return seen


def _turn(moments: dict[int, tuple[float, float]], seen: Seen, readers_each: int) -> _Turn:
    came = [
        (1000 * (moment - moments[number][0]), 1000 * (moment - moments[number][1]))
        for number, moment in zip(seen.numbers, seen.moments, strict=True)
        if number in moments
    ]
    return _Turn(
        from_request=[delay for delay, _ in came],
        from_answer=[delay for _, delay in came],
        missing=abs(len(moments) * readers_each - len(came)) + seen.gaps + seen.closed,
        example=seen.example,
    )


def _figures(ours: Sequence[_Turn], floors: Sequence[_Turn], scale: Scale) -> list[Figure]:
    load = f"{scale.rate:g}/s, {scale.readers} readers"
    after = [delay for turn in ours for delay in turn.from_answer]
    whole = [delay for turn in ours for delay in turn.from_request]
    bare = [delay for turn in floors for delay in turn.from_request]
    p99_of_bare = percentile(bare, 0.99)
    return [
        figure(f"p50, answer to frame, {load}, by a bare fan-out", median(after), "ms", floor=median(bare)),
        figure(f"p99, answer to frame, {load}, by a bare fan-out", percentile(after, 0.99), "ms", floor=p99_of_bare),
        figure(f"p50, request to frame, {load}", median(whole), "ms"),
        figure(f"p99, request to frame, {load}", percentile(whole, 0.99), "ms"),
        figure("frames that a reader missed or got out of order", sum(turn.missing for turn in ours), "", at_most=0),
    ]
