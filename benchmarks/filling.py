"""A past for the tables: ended executions, with their shards, submissions and tests, made by the database itself."""

import asyncpg
import uvloop

from benchmarks.made_up import TESTS

SHARDS = 8

_PAST = """
CREATE TEMP TABLE past (
    n int, execution_id text, shard int, submission_id text, at timestamptz, tests int, tenant bigint
)
"""

# Ids are made as the server makes them, the time in front, so that they lie in the indexes as its own do.
_SUBMISSIONS_OF_THE_PAST = """
INSERT INTO past
SELECT n, 'exec_filled_' || lpad((n / $2::int)::text, 12, '0'), n % $2::int + 1,
    'sub_' || lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 11, '0') || substr(md5(n::text), 1, 13),
    at, $3::int, (SELECT min(tenant_id) FROM tenants)
FROM generate_series(0, $1::int - 1) AS n, LATERAL (SELECT now() - ($1::int - n) * interval '500 ms' AS at) AS moment
"""

_FILL = (
    """
    INSERT INTO executions (execution_id, tenant_id, partition, status, seq, frames, test_suite, environment, provider,
        branch, commit_sha, configuration, metadata, base_url, created_at, started_at, ended_at, total, passed, failed,
        skipped, flaky)
    SELECT execution_id, min(tenant), 0, 'completed', count(*) + 3, count(*), 'regression', 'staging', 'filled',
        'main', '0f3b1c2d', '{"shards":8}', '{"branch":"main","commit":"0f3b1c2d"}', 'http://127.0.0.1',
        min(at), min(at), max(at), sum(tests), sum(tests), 0, 0, 0
    FROM past GROUP BY execution_id ORDER BY execution_id
    """,
    """
    INSERT INTO shards (execution_id, number, tenant_id, status, total, passed, failed, skipped, flaky, submission_id,
        digest, attempts, started_at, ended_at, duration_ms)
    SELECT execution_id, shard, tenant, 'completed', tests, tests, 0, 0, 0, submission_id,
        decode(md5(submission_id), 'hex'), 1, at, at, 151250
    FROM past ORDER BY n
    """,
    """
    INSERT INTO submissions (submission_id, tenant_id, execution_id, shard, attempt, provider, status, total, passed,
        failed, skipped, flaky, tests, first_frame, metadata, digest, reported_at, recorded_at)
    SELECT submission_id, tenant, execution_id, shard, 1, 'filled', 'completed', tests, tests, 0, 0, 0, tests, shard,
        '{"browser":"chromium","duration":151250}', decode(md5(submission_id), 'hex'), at, at
    FROM past ORDER BY n
    """,
    """
    INSERT INTO tests (submission_id, ordinal, reported_at, tenant_id, title, file, status, duration_ms)
    SELECT submission_id, ordinal, at, tenant,
        'checkout: shows the last page after a reload (' || n % 64 || '.' || ordinal || ')',
        'tests/checkout/restores-' || n % 40 || '.spec.ts', 'passed', random() * 1000
    FROM past, generate_series(1, tests) AS ordinal ORDER BY n, ordinal
    """,
)

_EMPTY = (
    "TRUNCATE tests, submissions, events, receipts",
    "DELETE FROM executions WHERE provider = 'filled'",
)

RESULTS = "executions, shards, submissions, tests, events, receipts"
DELIVERIES = "webhook_messages, webhook_deliveries, webhook_attempts"


def fill(database_url: str, tests: int) -> None:
    """Store so many tests of the past."""
    uvloop.run(_fill(database_url, tests))


def empty(database_url: str) -> None:
    """Remove all tests, submissions, events and receipts; running executions stay."""
    uvloop.run(_execute(database_url, *_EMPTY))


def settle(database_url: str, tables: str = RESULTS) -> None:
    """Do now what the database would do by itself at some time, so that it does not fall into the next measurement."""
    uvloop.run(_execute(database_url, f"VACUUM (ANALYZE) {tables}", "CHECKPOINT"))


async def _fill(database_url: str, tests: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(_PAST)
    await connection.execute(_SUBMISSIONS_OF_THE_PAST, tests // TESTS, SHARDS, TESTS)
    for statement in _FILL:
        await connection.execute(statement)
    await connection.close()


async def _execute(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
