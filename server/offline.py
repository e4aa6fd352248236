"""What the command line does to the database by itself, beside a running server or without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from orchestrator.config import Settings
from orchestrator.identity.roles import Role
from server.stores import prepare
from storage import identity, postgres
from storage.embedded import DataFolderInUse, EmbeddedServers, running_database_url
from storage.identity import ApiToken
from storage.postgres import DirectConnection


async def migrated(settings: Settings) -> int:
    """Bring the schema up to date; returns the number of partitions."""
    async with _database_url(settings) as url:
        return await prepare(settings, url)


async def create_token(settings: Settings, tenant: str, name: str, role: Role) -> str:
    """Make a token for a tenant, which is made too if there is none; returns the token itself."""
    async with _database(settings) as connection:
        tenant_id = await identity.ensure_tenant(connection, tenant)
        secret, _ = await identity.create_token(connection, tenant_id, name=name, role=role, now=datetime.now(UTC))
        return secret


async def list_tokens(settings: Settings, tenant: str) -> list[ApiToken]:
    """A tenant's tokens, oldest first."""
    async with _database(settings) as connection:
        return await identity.tokens(connection, await identity.tenant_named(connection, tenant))


async def revoke_token(settings: Settings, tenant: str, token_id: str) -> None:
    """Revoke a tenant's token."""
    async with _database(settings) as connection:
        tenant_id = await identity.tenant_named(connection, tenant)
        await identity.revoke_token(connection, tenant_id, token_id, now=datetime.now(UTC))


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[DirectConnection]:
    async with _database_url(settings) as url:
        await prepare(settings, url)
        async with postgres.connected(url) as connection:
            yield connection


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    """The managed database, that of the server running on the folder, or the folder's own, started for a moment."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    servers = EmbeddedServers(settings.data_dir)
    try:
        await servers.start()
    except DataFolderInUse:
        yield running_database_url(settings.data_dir)
        return
    try:
        yield servers.database_url
    finally:
        await servers.stop()
