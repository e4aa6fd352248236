"""The output of managed shards, in pieces that are numbered by the bytes before them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from orchestrator.jobs.model import OUTPUT_PIECE_BYTES
from storage.job_shards import Key
from storage.postgres import Connection

PAGE_PIECES = 64


async def size(connection: Connection, execution_id: str, shard: int) -> int:
    """How many bytes of a shard's output are kept."""
    found: int | None = await connection.fetchval(
        "SELECT start + octet_length(content) FROM job_output WHERE execution_id = $1 AND shard = $2"
        " ORDER BY start DESC LIMIT 1",
        *(execution_id, shard),
    )
    return found or 0


async def shards(connection: Connection, execution_id: str) -> list[int]:
    """The shards of an execution that have output."""
    rows = await connection.fetch(
        "SELECT shard FROM job_shards AS s WHERE execution_id = $1 AND EXISTS"
        " (SELECT FROM job_output AS o WHERE o.execution_id = s.execution_id AND o.shard = s.shard) ORDER BY shard",
        execution_id,
    )
    return [row["shard"] for row in rows]


async def append(connection: Connection, key: Key, start: int, content: str) -> bool:
    """Keep a piece of output; False where another attempt has the shard, or the piece is kept already.

    Args:
        connection: of the owning role.
        key: of the attempt whose output it is.
        start: how many bytes of the shard's output come before it.
        content: without NUL characters.
    """
    done: str = await connection.execute(
        "INSERT INTO job_output (execution_id, shard, start, tenant_id, attempt, at, content)"
        " SELECT execution_id, shard, $4, tenant_id, attempt, now(), $5 FROM job_shards"
        " WHERE execution_id = $1 AND shard = $2 AND attempt = $3 AND state = 'running' ON CONFLICT DO NOTHING",
        *(key.execution_id, key.shard, key.attempt, start, content),
    )
    return done == "INSERT 0 1"


async def pieces(
    connect: Callable[[], AbstractAsyncContextManager[Connection]], execution_id: str, shard: int, after: int
) -> AsyncIterator[bytes]:
    """The output of a shard after so many bytes.

    No connection is held while a piece is sent, for that takes as long as its reader likes.

    Args:
        connect: gives a connection that sees the tenant.
        execution_id: whose shard it is.
        shard: its number.
        after: bytes that the caller has already.
    """
    while True:
        async with connect() as connection:
            rows = await connection.fetch(
                "SELECT start, content FROM job_output WHERE execution_id = $1 AND shard = $2"
                " AND start > $3 - $4::bigint AND start + octet_length(content) > $3 ORDER BY start LIMIT $5",
                *(execution_id, shard, after, 2 * OUTPUT_PIECE_BYTES, PAGE_PIECES),
            )
        for row in rows:
            content = row["content"].encode()
            yield content[max(0, after - row["start"]) :]
            after = row["start"] + len(content)
        if len(rows) < PAGE_PIECES:
            return
