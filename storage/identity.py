"""Tenants and API tokens. A reader sees and writes those of its own tenant; the owning role serves the command line."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from orchestrator import ids
from orchestrator.errors import Conflict, NotFound
from orchestrator.identity import tokens as secrets
from orchestrator.identity.roles import Role
from orchestrator.identity.tokens import Secret
from storage.postgres import Connection

Row = asyncpg.Record

DEFAULT_TENANT = "default"
_BOOTSTRAP_NAME = "bootstrap"
# Of two first starts one makes the first token; the number only has to be ours.
_BOOTSTRAP_LOCK = 0x544D54

_COLUMNS = "token_id, tenant_id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at"


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token without its secret."""

    token_id: str
    tenant_id: int
    name: str
    role: Role
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


async def token_of(connection: Connection, digest: bytes) -> ApiToken | None:
    """The token with this digest, whichever tenant's, revoked or expired ones too; None if there is none."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM api_token_of($1)", digest)  # noqa: S608 - our own columns
    return None if row is None else _token(row)


async def tenant_of_execution(connection: Connection, execution_id: str) -> int | None:
    """Whose an execution is, for a caller who has proved to hold its webhook token; None if there is none."""
    tenant_id: int | None = await connection.fetchval("SELECT tenant_of_execution($1)", execution_id)
    return tenant_id


async def tenant_of_managed(connection: Connection, execution_id: str, moment: datetime) -> int | None:
    """Whose an execution is that runs a job, for a caller who has proved to be a shard of it.

    None if there is none that ended after this moment, or has not ended yet.
    """
    tenant_id: int | None = await connection.fetchval("SELECT tenant_of_managed($1, $2)", execution_id, moment)
    return tenant_id


async def ensure_tenant(connection: Connection, name: str) -> int:
    """The tenant of this name, made if there is none."""
    await connection.execute("INSERT INTO tenants (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", name)
    return await tenant_named(connection, name)


async def tenant_named(connection: Connection, name: str) -> int:
    """The tenant of this name.

    Raises:
        NotFound: there is none.
    """
    tenant_id: int | None = await connection.fetchval("SELECT tenant_id FROM tenants WHERE name = $1", name)
    if tenant_id is None:
        raise NotFound(f"No tenant {name}")
    return tenant_id


async def create_token(  # noqa: PLR0913 - the columns of one row
    connection: Connection,
    tenant_id: int,
    *,
    name: str,
    role: Role,
    now: datetime,
    expires_at: datetime | None = None,
    token_id: str | None = None,
    secret: Secret | None = None,
) -> tuple[str, ApiToken]:
    """Make a token.

    Args:
        connection: of the owning role, or a reader's that may write for this tenant.
        tenant_id: whose it is to be.
        name: what it is for.
        role: what it may do.
        now: when it is made.
        expires_at: when it ends by itself; None for never.
        token_id: with `secret`, of a creation that may be repeated: the same two give the same token again.
        secret: unset: a random one.

    Returns:
        The token itself, which can never be read again, and its row.

    Raises:
        Conflict: there is a token with this id, but with another secret: it was rotated since.
    """
    chosen = secrets.fresh() if secret is None else secret
    wanted_id = ids.new_id("tok", now) if token_id is None else token_id
    await connection.execute(
        "INSERT INTO api_tokens (token_id, tenant_id, name, role, prefix, secret_hash, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (token_id) DO NOTHING",
        *(wanted_id, tenant_id, name, role, chosen.prefix, chosen.digest, now, expires_at),
    )
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM api_tokens WHERE token_id = $1 AND secret_hash = $2",  # noqa: S608 - our own columns
        wanted_id,
        chosen.digest,
    )
    if row is None:
        raise Conflict(f"{wanted_id} was made before and rotated since; its first secret is void")
    return chosen.text, _token(row)


async def tokens(connection: Connection, tenant_id: int) -> list[ApiToken]:
    """A tenant's tokens, oldest first, revoked ones too."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM api_tokens WHERE tenant_id = $1 ORDER BY created_at, token_id",  # noqa: S608 - our own columns
        tenant_id,
    )
    return [_token(row) for row in rows]


async def token_by_id(connection: Connection, tenant_id: int, token_id: str) -> ApiToken:
    """One of a tenant's tokens.

    Raises:
        NotFound: the tenant has none with this id.
    """
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM api_tokens WHERE tenant_id = $1 AND token_id = $2",  # noqa: S608 - our own columns
        tenant_id,
        token_id,
    )
    return _found(row, token_id)


async def revoke_token(connection: Connection, tenant_id: int, token_id: str, *, now: datetime) -> ApiToken:
    """End a token for good; one revoked before keeps its time.

    Raises:
        NotFound: the tenant has none with this id.
    """
    row = await connection.fetchrow(
        "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, $3)"  # noqa: S608 - our own columns
        f" WHERE tenant_id = $1 AND token_id = $2 RETURNING {_COLUMNS}",
        *(tenant_id, token_id, now),
    )
    return _found(row, token_id)


async def rotate_token(connection: Connection, tenant_id: int, token_id: str, secret: Secret) -> ApiToken:
    """Give a token another secret; the former one is void.

    Raises:
        NotFound: the tenant has none with this id.
        Conflict: it is revoked.
    """
    row = await connection.fetchrow(
        "UPDATE api_tokens SET secret_hash = $3, prefix = $4"  # noqa: S608 - our own columns
        f" WHERE tenant_id = $1 AND token_id = $2 AND revoked_at IS NULL RETURNING {_COLUMNS}",
        *(tenant_id, token_id, secret.digest, secret.prefix),
    )
    if row is None:
        await token_by_id(connection, tenant_id, token_id)
        raise Conflict(f"{token_id} is revoked; make a new token")
    return _token(row)


async def note_use(connection: Connection, token_ids: Sequence[str], now: datetime) -> None:
    """Write down that these tokens were used just now."""
    await connection.execute("UPDATE api_tokens SET last_used_at = $2 WHERE token_id = ANY($1)", token_ids, now)


async def bootstrap(connection: Connection, token: str | None) -> str | None:
    """See to it that there is a tenant and an administrator's token; again and again does no harm.

    Args:
        connection: of the owning role.
        token: the operator's choice; unset: one is made if the tenant has none at all.

    Returns:
        The token made just now, to be shown once; None where none was.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _BOOTSTRAP_LOCK)
        tenant_id = await ensure_tenant(connection, DEFAULT_TENANT)
        if token is None:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM api_tokens WHERE tenant_id = $1)", tenant_id):
                return None
            secret = secrets.fresh()
        else:
            secret = secrets.given(token)
            if await token_of(connection, secret.digest) is not None:
                return None
        now: datetime = await connection.fetchval("SELECT now()")
        await create_token(connection, tenant_id, name=_BOOTSTRAP_NAME, role=Role.ADMIN, now=now, secret=secret)
    return secret.text if token is None else None


def _found(row: Row | None, token_id: str) -> ApiToken:
    if row is None:
        raise NotFound(f"No token {token_id}")
    return _token(row)


def _token(row: Row) -> ApiToken:
    return ApiToken(**{**row, "role": Role(row["role"])})
