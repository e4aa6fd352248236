"""What a server does by itself, from its start on."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from orchestrator.config import Settings
from orchestrator.errors import NotFound
from orchestrator.webhooks.model import DeliveryStatus
from server.parts import maintain_for_ever
from server.stores import Stores
from storage import artifacts, retention
from storage.blobs import Blobs
from storage.postgres import DirectConnection
from tests.files import executed, file_of
from tests.patience import eventually
from tests.registrations import registered, told


async def test_old_deliveries_are_forgotten_at_once(stores: Stores, connection: DirectConnection, tenant: int) -> None:
    old = datetime.now(UTC) - timedelta(days=retention.DELIVERY_DAYS, minutes=1)
    await told(connection, [await registered(connection, tenant)], at=old, status=DeliveryStatus.MISSED)

    async def is_forgotten() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM webhook_deliveries WHERE tenant_id = $1", tenant)

    upkeep = asyncio.create_task(maintain_for_ever(Settings(), stores.database_url, Blobs(MemoryStore(), None)))
    await eventually(is_forgotten)
    upkeep.cancel()


async def test_old_artifacts_and_their_bytes_are_forgotten_at_once(
    stores: Stores, connection: DirectConnection, tenant: int, tmp_path: Path
) -> None:
    blobs, old = Blobs.open(None, tmp_path), datetime.now(UTC) - timedelta(days=8)
    name = blobs.new_name(old)
    await blobs.put_whole(name, b"content")
    artifact = file_of(await executed(connection, tenant, old), tenant, created_at=old)
    await artifacts.keep(connection, artifact, name, old, most_bytes=1000)

    async def is_forgotten() -> bool:
        return not (tmp_path / name).exists()

    upkeep = asyncio.create_task(maintain_for_ever(Settings(artifact_days=7), stores.database_url, blobs))
    await eventually(is_forgotten)
    upkeep.cancel()
    with pytest.raises(NotFound):
        await artifacts.get(connection, artifact.execution_id, artifact.artifact_id)
