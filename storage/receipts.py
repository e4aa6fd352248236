"""Receipts of requests that the gateway carries out itself; owners write theirs with their commits."""

from datetime import datetime

from storage import commits
from storage.postgres import Connection


async def take(connection: Connection, command_id: str) -> tuple[bytes, str] | None:
    """What was answered to this command, as (fingerprint, receipt as JSON text); None if it was not carried out.

    Whoever asks for the same command waits for the end of this transaction.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", command_id)
    return (await commits.recorded(connection, [command_id])).get(command_id)


async def keep(
    connection: Connection, tenant_id: int, command_id: str, fingerprint: bytes, receipt: str, now: datetime
) -> None:
    """Remember what was answered; what was kept for the command before stays."""
    await connection.execute(
        "INSERT INTO receipts (command_id, tenant_id, fingerprint, receipt, recorded_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        *(command_id, tenant_id, fingerprint, receipt, now),
    )
