"""Artifacts for tests that speak to the store itself."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from orchestrator import ids
from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import Artifact
from storage.postgres import DirectConnection

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
_milliseconds = count()


def _later() -> datetime:
    """Another millisecond each time, so that ids are in the order in which they were made."""
    return NOW + timedelta(milliseconds=next(_milliseconds))


async def executed(connection: DirectConnection, tenant: int, ended: datetime | None = NOW) -> str:
    """An execution that ended then, or none that has ended; as a row of its own."""
    execution_id = ids.execution_id(_later())
    await connection.execute(
        "INSERT INTO executions (execution_id, tenant_id, partition, status, seq, frames, test_suite, environment,"
        " provider, configuration, base_url, created_at, started_at, ended_at, deadline,"
        " total, passed, failed, skipped, flaky)"
        " VALUES ($1, $2, 0, $3, 1, 0, 'smoke', 'dev', 'x', '{}', 'http://x', $4, $4, $5, $6, 0, 0, 0, 0, 0)",
        *(execution_id, tenant, "running" if ended is None else "completed", NOW - timedelta(days=1000), ended),
        NOW if ended is None else None,
    )
    return execution_id


def file_of(execution_id: str, tenant: int, content: bytes = b"content", **fields: Any) -> Artifact:
    """An artifact that is not stored yet."""
    plain: dict[str, Any] = {
        "artifact_id": ids.new_id("art", _later()),
        "tenant_id": tenant,
        "execution_id": execution_id,
        "shard_id": "1",
        "kind": Kind.LOGS,
        "name": "a.log",
        "size": len(content),
        "sha256": sha256(content).digest(),
        "created_at": NOW,
    }
    return Artifact(**plain | fields)
