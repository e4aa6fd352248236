"""Durable results a second and their latency: many connections, and one."""

from contextlib import ExitStack

import msgspec

from benchmarks import copying, plain, ray_call
from benchmarks.books import Books
from benchmarks.companions import Companion
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.filling import settle
from benchmarks.load import START_SECONDS, Outcome, Plan, Target, submit_alone, targets_of
from benchmarks.made_up import TESTS
from benchmarks.scale import Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps

SHARDS = 8


def measure(server: Server, books: Books, scale: Scale, steps: Steps) -> list[Figure]:
    """Both."""
    with steps.step(f"starting {scale.executions:,} executions"):
        targets = targets_of(books.start(scale.executions, SHARDS), SHARDS)
        copying.prepare(server.database_url)
    return [
        *_many_connections(server, books, targets, scale, steps),
        *_one_connection(server, books, targets, scale, steps),
    ]


class _Rounds(msgspec.Struct):
    ours: list[Outcome] = []
    one_copy: list[float] = []
    copies: list[float] = []
    plain: list[Outcome] = []
    in_commit: list[float] = []


def _many_connections(server: Server, books: Books, targets: list[Target], scale: Scale, steps: Steps) -> list[Figure]:
    rounds = _Rounds()
    database = server.database_url
    owners = len(server.owners())
    plan = Plan(targets=targets, connections=scale.connections, seconds=scale.seconds, warm_seconds=scale.warm_seconds)
    with Companion(plain.serve, database) as handler:
        its_address = msgspec.structs.replace(server.address, port=handler.hear(START_SECONDS))
        for number in range(1, scale.rounds + 1):
            settle(database)
            with steps.step(f"server, {scale.connections} connections, round {number}"):
                before = server.numbers()
                rounds.ours.append(books.submit(plan))
                after = server.numbers()
                in_commit = (after["commands"] - before["commands"]) / (after["commits"] - before["commits"])
                rounds.in_commit.append(in_commit)
            for connections, rates in ((1, rounds.one_copy), (owners, rounds.copies)):
                settle(database)
                with steps.step(f"floor: bare COPY, {connections} x {in_commit:.1f} submissions, round {number}"):
                    rows = scale.copied_rows
                    rates.append(copying.rate(database, connections=connections, submissions=in_commit, rows=rows))
            settle(database)
            with steps.step(f"a plain handler, {scale.connections} connections, round {number}"):
                rounds.plain.append(submit_alone(its_address, plan))
    return _figures(rounds, scale)


def _figures(rounds: _Rounds, scale: Scale) -> list[Figure]:
    tests = TESTS * median([outcome.rate for outcome in rounds.ours])
    tests_of_plain = TESTS * median([outcome.rate for outcome in rounds.plain])
    ours = [1000 * one for outcome in rounds.ours for one in outcome.latencies]
    theirs = [1000 * one for outcome in rounds.plain for one in outcome.latencies]
    load = f"{scale.connections} connections"
    p50, p99 = median(ours), percentile(ours, 0.99)
    return [
        figure(f"durable, {load}, by bare COPY", tests, "tests/s", floor=median(rounds.one_copy), at_least=0.5),
        figure(f"durable, {load}, by a bare COPY per owner", tests, "tests/s", floor=median(rounds.copies)),
        figure(f"durable, {load}, by a plain handler", tests, "tests/s", floor=tests_of_plain),
        figure(f"durable, {load}", tests / TESTS, "submissions/s"),
        figure("submissions in a commit", median(rounds.in_commit), ""),
        figure(f"p99, {load}, by p50", p99, "ms", floor=p50, at_most=10),
        figure(f"p50, {load}, by a plain handler", p50, "ms", floor=median(theirs)),
        figure(f"p99, {load}, by a plain handler", p99, "ms", floor=percentile(theirs, 0.99)),
        figure(f"slowest, {load}, by a plain handler", max(ours), "ms", floor=max(theirs)),
    ]


def _one_connection(server: Server, books: Books, targets: list[Target], scale: Scale, steps: Steps) -> list[Figure]:
    ours, calls, commits = [], [], []
    plan = Plan(targets=targets, connections=1, seconds=scale.seconds / 2, warm_seconds=0.5)
    with ExitStack() as stack:
        with steps.step("starting a Ray for the floor"):
            ray = stack.enter_context(Companion(ray_call.serve))
            ray.hear(ray_call.START_SECONDS)
        for number in range(1, scale.rounds + 1):
            with steps.step(f"server, one connection, round {number}"):
                outcome = books.submit(plan)
                ours.append(1000 * median(outcome.latencies))
            with steps.step(f"floor: one Ray call, one COPY commit, round {number}"):
                ray.tell(scale.calls)
                calls.append(1000 * median(ray.hear(ray_call.START_SECONDS)))
                commits.append(1000 * median(copying.commit_latencies(server.database_url, scale.calls)))
    call, commit = median(calls), median(commits)
    return [
        figure("p50, one connection, by one Ray call and one COPY", median(ours), "ms", floor=call + commit, at_most=4),
        figure("one Ray call with 10 KB", call, "ms"),
        figure(f"one COPY commit of {TESTS} rows", commit, "ms"),
    ]
