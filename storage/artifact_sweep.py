"""What is forgotten of artifacts: those past keeping, uploads that never ended, and bytes that nobody refers to.

Several servers may sweep at once, and uploads go on meanwhile: a row of `blobs` is deleted only while it is locked and
no artifact refers to it, and an object only if it has no row and is older than any upload that could give it one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from orchestrator.artifacts.model import UNFINISHED_HOURS
from storage.blobs import Blobs
from storage.postgres import Connection

log = structlog.get_logger(__name__)

BATCH = 1000


async def sweep(connection: Connection, blobs: Blobs, now: datetime, keep_days: int) -> None:
    """Forget what is to be forgotten, in batches, so that none holds others up.

    Args:
        connection: of the owning role.
        blobs: where the bytes are.
        now: the present.
        keep_days: after the end of their execution, and after they came; 0 keeps all.

    Raises:
        Unavailable: the store of bytes is away; what is left is for the next time.
    """
    while keep_days and await _delete_old(connection, now - timedelta(days=keep_days)) == BATCH:
        pass
    unfinished = now - timedelta(hours=UNFINISHED_HOURS)
    await connection.execute("DELETE FROM artifacts WHERE object_name IS NULL AND created_at < $1", unfinished)
    while await _delete_unshared(connection, blobs) == BATCH:
        pass
    await _delete_unknown(connection, blobs, unfinished)
    await blobs.delete_staged(unfinished)


async def _delete_old(connection: Connection, before: datetime) -> int:
    """Delete a batch of the artifacts past keeping; how many there were."""
    deleted: int = await connection.fetchval(
        "WITH gone AS (DELETE FROM artifacts WHERE artifact_id = ANY(ARRAY("
        " SELECT a.artifact_id FROM artifacts AS a JOIN executions AS e USING (execution_id)"
        " WHERE a.created_at < $1 AND e.ended_at < $1 LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone",
        before,
        BATCH,
    )
    return deleted


async def _delete_unshared(connection: Connection, blobs: Blobs) -> int:
    """Delete a batch of bytes that no artifact refers to, rows first; how many there were."""
    async with connection.transaction():
        # Locked, they cannot get an artifact any more; whether they got one before is looked at again after that.
        locked = await connection.fetch(
            "SELECT object_name FROM blobs AS b WHERE NOT EXISTS (SELECT FROM artifacts AS a"
            " WHERE a.tenant_id = b.tenant_id AND a.object_name = b.object_name) LIMIT $1 FOR UPDATE SKIP LOCKED",
            BATCH,
        )
        gone = await connection.fetch(
            "DELETE FROM blobs AS b WHERE object_name = ANY($1) AND NOT EXISTS (SELECT FROM artifacts AS a"
            " WHERE a.tenant_id = b.tenant_id AND a.object_name = b.object_name) RETURNING object_name",
            [row["object_name"] for row in locked],
        )
    await blobs.delete([row["object_name"] for row in gone])
    return len(locked)


async def _delete_unknown(connection: Connection, blobs: Blobs, before: datetime) -> None:
    """Delete objects that have no row and are old enough to never get one: what crashes left."""
    for prefix in ("blobs", "parts"):
        batch: list[str] = []
        async for found in blobs.listed(prefix):
            if found.written_at < before:
                batch.append(found.name)
            if len(batch) == BATCH:
                await _delete_strangers(connection, blobs, batch)
                batch = []
        await _delete_strangers(connection, blobs, batch)


async def _delete_strangers(connection: Connection, blobs: Blobs, names: Sequence[str]) -> None:
    """Delete those of these objects that no row knows: blobs by their name, parts by their artifact."""
    rows = await connection.fetch(
        "SELECT given.name FROM unnest($1::text[]) AS given(name)"
        " WHERE NOT EXISTS (SELECT FROM blobs AS b WHERE b.object_name = given.name)"
        " AND NOT EXISTS (SELECT FROM artifacts AS a WHERE a.artifact_id = split_part(given.name, '/', 2)"
        "  AND a.object_name IS NULL)",
        names,
    )
    if rows:
        log.info("objects without an owner are deleted", number=len(rows))
    await blobs.delete([row["name"] for row in rows])
