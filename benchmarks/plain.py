"""What one would write at first: aiohttp and asyncpg, a transaction a request, counters added up in place.

It stores the same rows, and knows no tokens, repetitions, events, live readers or deadlines.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from multiprocessing.connection import Connection
from typing import Any

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from benchmarks import tables
from benchmarks.companions import told
from orchestrator import ids
from storage.result_rows import COLUMNS

SCHEMA = "plain"
POOL = 16

_TABLES = """
CREATE TABLE plain.submissions (LIKE submissions INCLUDING ALL);
CREATE TABLE plain.executions (LIKE executions INCLUDING ALL);
INSERT INTO plain.executions SELECT * FROM executions;
"""

_SUBMISSION = """
INSERT INTO plain.submissions (submission_id, tenant_id, execution_id, shard, provider, status, total, passed, failed,
    skipped, flaky, tests, artifacts, metadata, digest, reported_at, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
"""

_COUNTERS = """
UPDATE plain.executions SET total = total + $2, passed = passed + $3, failed = failed + $4, skipped = skipped + $5,
    flaky = flaky + $6 WHERE execution_id = $1
"""


def serve(pipe: Connection, database_url: str) -> None:
    """A companion's work: copy the executions that there are, serve, tell the port, end when told."""
    uvloop.run(_serve(pipe, database_url))


async def _serve(pipe: Connection, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=POOL, max_size=POOL) as pool:
        async with pool.acquire() as connection:
            await tables.make(connection, SCHEMA)
            await connection.execute(_TABLES)
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/api/results", _Handler(pool).submit)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await told(pipe)
        await runner.cleanup()


class _Handler:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def submit(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = msgspec.json.decode(raw)
        now = datetime.now(UTC)
        submission_id = ids.new_id("sub", now)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SUBMISSION, *_submission(submission_id, body, raw, now))
            records = _records(submission_id, body["tests"], now)
            await connection.copy_records_to_table("tests", schema_name=SCHEMA, records=records, columns=COLUMNS)
            await connection.execute(_COUNTERS, body["executionId"], *_counters(body["results"]))
        answer = {"submissionId": submission_id, "executionId": body["executionId"], "status": "accepted"}
        return web.Response(status=201, body=msgspec.json.encode(answer), content_type="application/json")


def _submission(submission_id: str, body: dict[str, Any], raw: bytes, now: datetime) -> Sequence[object]:
    return (
        *(submission_id, 1, body["executionId"], int(body["shardId"]), body["provider"], body["status"]),
        *_counters(body["results"]),
        *(len(body["tests"]), _json(body["artifacts"]), _json(body["metadata"])),
        *(blake2b(raw, digest_size=16).digest(), now),
    )


def _counters(results: dict[str, int]) -> Sequence[int]:
    return tuple(results[name] for name in ("total", "passed", "failed", "skipped", "flaky"))


def _records(submission_id: str, tests: list[dict[str, Any]], now: datetime) -> list[tuple[object, ...]]:
    return [
        (
            *(1, submission_id, now, ordinal, test["title"], test.get("file"), test["status"], test.get("duration")),
            *(test.get("error"), test.get("retries"), test.get("tags"), None),
        )
        for ordinal, test in enumerate(tests, 1)
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
