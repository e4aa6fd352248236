"""Brings a database to this version's schema; safe to run by several starting servers at once."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from orchestrator.errors import SchemaTooNew
from storage.postgres import CONNECT_SECONDS, DirectConnection, translated

# One migration at a time on a database; the number only has to be ours ("TMS" in ASCII).
_LOCK = 0x544D53


async def migrate(database_url: str) -> None:
    """Upgrade to the newest schema; nothing to do is fine.

    Raises:
        SchemaTooNew: the database was migrated by a newer version; nothing was changed.
        Unavailable: the database cannot be reached.
    """

    async def connect() -> DirectConnection:
        return await asyncpg.connect(database_url, timeout=CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with translated(), engine.begin() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def configuration() -> Config:
    """Alembic's own settings: where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _upgrade(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = configuration()
    _refuse_unknown(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_unknown(connection: Connection, scripts: ScriptDirectory) -> None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in connection.scalars(text("SELECT version_num FROM alembic_version")):
        if revision not in known:
            raise SchemaTooNew(
                f"The database has schema {revision}, made by a newer version of this program; "
                "start that version, or restore a backup from before its upgrade"
            )
