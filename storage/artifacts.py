"""Artifacts as rows: those that are there, and those whose bytes are still coming in parts."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import MOST_ARTIFACTS, Artifact
from orchestrator.errors import NotFound, TooLarge
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection

_COLUMNS = (
    "artifact_id, tenant_id, execution_id, shard, kind, name, size, sha256, test, file, attempt,"
    " created_at, object_name, stored_at"
)
_THIS = "WHERE execution_id = $1 AND artifact_id = $2"


class ArtifactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which artifacts of an execution to list; None leaves a field open."""

    shard: int | None = None
    kind: Kind | None = None
    test: str | None = None
    file: str | None = None
    attempt: int | None = None


class ArtifactPosition(msgspec.Struct, frozen=True):
    """The last artifact of a page."""

    artifact_id: str


async def keep(connection: Connection, new: Artifact, object_name: str, now: datetime, *, most_bytes: int) -> Artifact:
    """Write down an artifact whose bytes are in the store.

    Args:
        connection: a reader's that may write for this tenant.
        new: as it is to be, if the same is not there already.
        object_name: of its bytes. Where the tenant has the same bytes already, the artifact shares those.
        now: the present.
        most_bytes: of all artifacts of the execution.

    Returns:
        The artifact as it is stored; its object may be another one.

    Raises:
        TooLarge: the execution has no room for it.
    """
    # Locks the row of bytes that are there already, so that no sweep takes them away before this is committed.
    shared = await connection.fetchval(
        "INSERT INTO blobs AS b (tenant_id, object_name, sha256, size, stored_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (tenant_id, sha256) DO UPDATE SET size = b.size RETURNING object_name",
        *(new.tenant_id, object_name, new.sha256, new.size, now),
    )
    return await _insert(connection, msgspec.structs.replace(new, object_name=shared, stored_at=now), most_bytes)


async def same_bytes(connection: Connection, new: Artifact) -> str | None:
    """The object in which the tenant has the bytes of an artifact already."""
    name: str | None = await connection.fetchval(
        "SELECT object_name FROM blobs WHERE tenant_id = $1 AND sha256 = $2 AND size = $3",
        *(new.tenant_id, new.sha256, new.size),
    )
    return name


async def begin(
    connection: Connection, new: Artifact, object_name: str | None, now: datetime, *, most_bytes: int
) -> Artifact:
    """Write down an artifact whose bytes will come in parts.

    Args, Returns, Raises: as `keep`, but `object_name` is what `same_bytes` found: while it is there, so is the
    artifact at once. The same artifact again is the one that was begun before.
    """
    shared = await connection.fetchval(
        "UPDATE blobs SET size = size WHERE tenant_id = $1 AND object_name = $2 RETURNING object_name",
        *(new.tenant_id, object_name),
    )
    if shared is not None:
        new = msgspec.structs.replace(new, object_name=shared, stored_at=now)
    return await _insert(connection, new, most_bytes)


async def get(connection: Connection, execution_id: str, artifact_id: str) -> Artifact:
    """One artifact of an execution.

    Raises:
        NotFound: this tenant has none.
    """
    return await _one(connection, f"SELECT {_COLUMNS} FROM artifacts {_THIS}", execution_id, artifact_id)  # noqa: S608 - our own columns


async def page(
    connection: Connection, execution_id: str, wanted: ArtifactFilter, *, after: ArtifactPosition | None, limit: int
) -> tuple[list[Artifact], ArtifactPosition | None]:
    """The artifacts that are there, in the order they came; and where the next page begins, None after the last."""
    table = schema.artifacts.c
    conditions: dict[Any, Any] = {
        table.shard: wanted.shard,
        table.kind: wanted.kind,
        table.test: wanted.test,
        table.file: wanted.file,
        table.attempt: wanted.attempt,
    }
    query = select(schema.artifacts).where(table.execution_id == execution_id, table.object_name.is_not(None))
    for column, value in conditions.items():
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(table.artifact_id > after.artifact_id)
    rows = await fetch(connection, query.order_by(table.artifact_id).limit(limit + 1))
    found = [_artifact(row) for row in rows[:limit]]
    return found, ArtifactPosition(found[-1].artifact_id) if len(rows) > limit else None


async def delete(connection: Connection, execution_id: str, artifact_id: str) -> Artifact:
    """Delete an artifact; its bytes go with the next sweep, unless others share them.

    Raises:
        NotFound: this tenant has none.
    """
    return await _one(connection, f"DELETE FROM artifacts {_THIS} RETURNING {_COLUMNS}", execution_id, artifact_id)  # noqa: S608 - our own columns


async def _one(connection: Connection, statement: str, execution_id: str, artifact_id: str) -> Artifact:
    row = await connection.fetchrow(statement, execution_id, artifact_id)
    if row is None:
        raise NotFound(f"{execution_id} has no artifact {artifact_id}")
    return _artifact(row)


async def _insert(connection: Connection, new: Artifact, most_bytes: int) -> Artifact:
    # One at a time in an execution, or several could fill the same room.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('artifacts ' || $1, 0))", new.execution_id)
    row = await connection.fetchrow(
        "UPDATE artifacts SET object_name = coalesce(object_name, $3), stored_at = coalesce(stored_at, $4)"  # noqa: S608 - our own columns
        f" WHERE execution_id = $1 AND identity = $2 RETURNING {_COLUMNS}",
        *(new.execution_id, new.identity, new.object_name, new.stored_at),
    )
    if row is None:
        await _check_room(connection, new.execution_id, new.size, most_bytes)
        row = await connection.fetchrow(
            f"INSERT INTO artifacts ({_COLUMNS}, identity)"  # noqa: S608 - our own columns
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING {_COLUMNS}",
            *(new.artifact_id, new.tenant_id, new.execution_id, int(new.shard_id), new.kind, new.name, new.size),
            *(new.sha256, new.test, new.file, new.attempt, new.created_at, new.object_name, new.stored_at),
            new.identity,
        )
    if row is None:
        raise LookupError("an insertion returns its row")
    return _artifact(row)


async def _check_room(connection: Connection, execution_id: str, size: int, most_bytes: int) -> None:
    """Raises `TooLarge` where an execution has no room for another artifact."""
    row = await connection.fetchrow(
        "SELECT count(*) AS number, coalesce(sum(size), 0)::bigint AS bytes FROM artifacts WHERE execution_id = $1",
        execution_id,
    )
    number, size_there = (0, 0) if row is None else (row["number"], row["bytes"])
    if number + 1 > MOST_ARTIFACTS:
        raise TooLarge(f"An execution has at most {MOST_ARTIFACTS} artifacts", code="ARTIFACT_LIMIT")
    if size_there + size > most_bytes:
        raise TooLarge(
            f"The artifacts of an execution have at most {most_bytes} bytes; {execution_id} has {size_there} already",
            code="ARTIFACT_LIMIT",
        )


def _artifact(row: Row) -> Artifact:
    return Artifact(
        artifact_id=row["artifact_id"],
        tenant_id=row["tenant_id"],
        execution_id=row["execution_id"],
        shard_id=str(row["shard"]),
        kind=Kind(row["kind"]),
        name=row["name"],
        size=row["size"],
        sha256=row["sha256"],
        test=row["test"],
        file=row["file"],
        attempt=row["attempt"],
        created_at=row["created_at"],
        object_name=row["object_name"],
        stored_at=row["stored_at"],
    )
