"""What a server does by itself, from its start on."""

import asyncio
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge

from orchestrator.config import Settings
from orchestrator.webhooks.model import DeliveryStatus
from server.parts import maintain_for_ever
from server.stores import Stores
from storage import retention
from storage.postgres import DirectConnection
from tests.measured import measured
from tests.patience import eventually
from tests.registrations import registered, told


async def test_old_deliveries_are_forgotten_at_once(stores: Stores, connection: DirectConnection, tenant: int) -> None:
    old = datetime.now(UTC) - timedelta(days=retention.DELIVERY_DAYS, minutes=1)
    await told(connection, [await registered(connection, tenant)], at=old, status=DeliveryStatus.MISSED)

    async def is_forgotten() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM webhook_deliveries WHERE tenant_id = $1", tenant)

    maintained = Gauge("maintained", "When", registry=None)
    upkeep = asyncio.create_task(maintain_for_ever(Settings(), stores.database_url, maintained))
    await eventually(is_forgotten)

    async def is_told() -> bool:
        return bool(measured(maintained.collect(), "maintained"))

    await eventually(is_told)
    upkeep.cancel()
