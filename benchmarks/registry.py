"""Webhooks of a benchmark: the server they are registered with, and as many with each of its couriers."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import msgspec
import uvloop

from actors.mailbox import partition_of
from benchmarks import posts
from benchmarks.client import OK, send_all
from benchmarks.serving import Server
from orchestrator import ids
from orchestrator.webhooks.model import Filters, RetryPolicy, Webhook, WebhookStatus
from orchestrator.webhooks.sealing import NONCE_BYTES, Sealer
from storage import webhooks

TIMEOUT_SECONDS = 2

SECRET_KEY = "benchmark-secret-key-0123456789abcdef"  # noqa: S105 - of a server that lives for minutes, on loopback

SETTINGS = {
    "TMS_SECRET_KEY": SECRET_KEY,
    "TMS_WEBHOOK_ALLOW": "127.0.0.0/8",
    "TMS_WEBHOOK_RATE": "0",
    "TMS_LIMIT_WEBHOOKS": "0",
    "TMS_WEBHOOK_TIMEOUT": str(TIMEOUT_SECONDS),
}
"""What the server needs so that deliveries can be measured: receivers on this machine, and no limit of their rate."""


def couriers(database_url: str) -> int:
    """How many couriers the server has."""
    return uvloop.run(_couriers(database_url))


async def _couriers(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    count: int = await connection.fetchval("SELECT count(*) FROM couriers")
    await connection.close()
    return count


def register(server: Server, urls: Sequence[str], *, is_served: bool = True) -> list[Webhook]:
    """Register a webhook for each URL, with one courier after the other; or with one that does not exist."""
    return uvloop.run(_register(server.database_url, urls, is_served=is_served))


async def _register(database_url: str, urls: Sequence[str], *, is_served: bool) -> list[Webhook]:
    count = await _couriers(database_url)
    connection = await asyncpg.connect(database_url)
    tenant_id: int = await connection.fetchval("SELECT min(tenant_id) FROM tenants")
    sealer = Sealer(SECRET_KEY.encode())
    registered = []
    for number, url in enumerate(urls):
        webhook = _webhook(tenant_id, url, number % count, count)
        if not is_served:
            webhook = msgspec.structs.replace(webhook, courier=count)
        sealed = sealer.seal(posts.SECRET, webhook.webhook_id, secrets.token_bytes(NONCE_BYTES))
        registered.append(await webhooks.create(connection, webhook, sealed))
    await connection.close()
    return registered


def _webhook(tenant_id: int, url: str, courier: int, couriers: int) -> Webhook:
    now = datetime.now(UTC)
    webhook_id = ids.new_id("wh", now)
    while partition_of(webhook_id, couriers) != courier:
        webhook_id = ids.new_id("wh", now)
    return Webhook(
        webhook_id=webhook_id,
        tenant_id=tenant_id,
        courier=courier,
        url=url,
        events=(posts.EVENT,),
        filters=Filters(),
        retry_policy=RetryPolicy(),
        status=WebhookStatus.ACTIVE,
        status_reason=None,
        created_at=now,
        updated_at=now,
        failing_since=None,
        last_validated_at=None,
        former_secret_until=None,
    )


def remove(server: Server, registered: Sequence[Webhook]) -> None:
    """Delete webhooks as a user does, so that their couriers know of it at once."""
    address = server.address
    send_all(address, [address.request("DELETE", f"/api/webhooks/{one.webhook_id}") for one in registered], OK)
