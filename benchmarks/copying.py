"""The floor of storing: bare COPY of the same rows, in the same batch sizes, into a table like that of the tests."""

from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import cycle, islice
from multiprocessing.connection import Connection
from time import monotonic

import asyncpg
import msgspec
import uvloop

from benchmarks import tables
from benchmarks.companions import Companion
from benchmarks.made_up import TESTS, Record, forms
from orchestrator import ids
from storage.result_rows import COLUMNS

SCHEMA = "bare"
COPY_SECONDS = 120.0


class Copied(msgspec.Struct, frozen=True):
    """What one connection did, by the monotonic clock."""

    began: float
    ended: float
    rows: int
    latencies: list[float]


def prepare(database_url: str) -> None:
    """Make the table."""
    uvloop.run(_prepare(database_url))


async def _prepare(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await tables.make(connection, SCHEMA)
    await connection.close()


def rate(database_url: str, *, connections: int, submissions: float, rows: int) -> float:
    """Rows a second that go through bare COPY.

    Args:
        database_url: of a database that `prepare` was called for.
        connections: each in a process of its own, as owners are.
        submissions: how many are in one COPY, on average.
        rows: how many rows to copy in all.
    """
    per_copy = max(1, round(submissions))
    copies = max(1, round(rows / (connections * per_copy * TESTS)))
    done = _side_by_side(database_url, connections, per_copy, copies)
    seconds = max(one.ended for one in done) - min(one.began for one in done)
    return sum(one.rows for one in done) / seconds


def commit_latencies(database_url: str, copies: int) -> list[float]:
    """Seconds that each of some COPYs takes, of one submission each, one after the other."""
    return _side_by_side(database_url, 1, 1, copies)[0].latencies


def _side_by_side(database_url: str, connections: int, per_copy: int, copies: int) -> list[Copied]:
    with ExitStack() as stack:
        copying = [stack.enter_context(Companion(copy, database_url, per_copy, copies)) for _ in range(connections)]
        for one in copying:
            one.hear(COPY_SECONDS)
        for one in copying:
            one.tell("go")
        return [one.hear(COPY_SECONDS) for one in copying]


def copy(pipe: Connection, database_url: str, per_copy: int, copies: int) -> None:
    """A companion's work: make all rows ready, tell so, wait for a word, copy, tell what was done."""
    uvloop.run(_copy(pipe, database_url, per_copy, copies))


async def _copy(pipe: Connection, database_url: str, per_copy: int, copies: int) -> None:
    connection = await asyncpg.connect(database_url)
    made = cycle(forms())
    now = datetime.now(UTC)
    batches: list[list[Record]] = [
        [record for form in islice(made, per_copy) for record in form.records(ids.new_id("sub", now), now)]
        for _ in range(copies)
    ]
    pipe.send("ready")
    pipe.recv()
    began = moment = monotonic()
    latencies = []
    for batch in batches:
        await connection.copy_records_to_table("tests", schema_name=SCHEMA, records=batch, columns=COLUMNS)
        before, moment = moment, monotonic()
        latencies.append(moment - before)
    pipe.send(Copied(began, moment, sum(map(len, batches)), latencies))
    await connection.close()
