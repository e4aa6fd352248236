"""Tenants and tokens in the store, as the owning role and as a reader."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from orchestrator.errors import Conflict, NotFound
from orchestrator.identity import tokens as secrets
from orchestrator.identity.roles import Role
from storage import identity
from storage.identity import ApiToken
from storage.postgres import DirectConnection, Reader

NOW = datetime(2025, 8, 4, 12, tzinfo=UTC)


async def made(connection: DirectConnection, tenant: int, name: str = "ci") -> tuple[str, ApiToken]:
    return await identity.create_token(connection, tenant, name=name, role=Role.QA_LEAD, now=NOW)


async def test_a_token_is_found_by_its_secret(connection: DirectConnection, reader: Reader, tenant: int) -> None:
    secret, token = await made(connection, tenant)

    async with reader.nobody() as nobody:
        assert await identity.token_of(nobody, secrets.digest(secret)) == token
        assert await identity.token_of(nobody, secrets.digest("other")) is None


@pytest.mark.contract("X-094")
async def test_the_secret_is_not_in_the_store(connection: DirectConnection, tenant: int) -> None:
    secret, token = await made(connection, tenant)

    row = await connection.fetchval("SELECT api_tokens::text FROM api_tokens WHERE token_id = $1", token.token_id)

    assert token.prefix in row
    assert secret not in row
    assert secret.rpartition("_")[2] not in row


async def test_a_reader_sees_and_changes_tokens_of_its_tenant_only(
    connection: DirectConnection, reader: Reader, tenant: int
) -> None:
    other = await identity.ensure_tenant(connection, f"other-{uuid4()}")
    _, foreign = await made(connection, other)
    _, own = await made(connection, tenant)

    async with reader.tenant(tenant, write=True) as mine:
        assert await identity.tokens(mine, tenant) == [own]
        assert await identity.tokens(mine, other) == []
        with pytest.raises(NotFound):
            await identity.revoke_token(mine, other, foreign.token_id, now=NOW)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with reader.tenant(tenant, write=True) as mine:
            await made(mine, other)  # type: ignore[arg-type] # a pool's connection does the same


async def test_a_reader_cannot_raise_a_role(connection: DirectConnection, reader: Reader, tenant: int) -> None:
    await made(connection, tenant)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with reader.tenant(tenant, write=True) as mine:
            await mine.execute("UPDATE api_tokens SET role = 'super_admin'")


async def test_revoking_again_keeps_the_time(connection: DirectConnection, tenant: int) -> None:
    _, token = await made(connection, tenant)

    await identity.revoke_token(connection, tenant, token.token_id, now=NOW)
    again = await identity.revoke_token(connection, tenant, token.token_id, now=NOW + timedelta(days=1))

    assert again.revoked_at == NOW


async def test_a_rotated_token_has_another_secret_and_a_revoked_one_gets_none(
    connection: DirectConnection, tenant: int
) -> None:
    former, token = await made(connection, tenant)
    secret = secrets.fresh()

    rotated = await identity.rotate_token(connection, tenant, token.token_id, secret)

    assert await identity.token_of(connection, secrets.digest(former)) is None
    assert await identity.token_of(connection, secret.digest) == rotated
    await identity.revoke_token(connection, tenant, token.token_id, now=NOW)
    with pytest.raises(Conflict):
        await identity.rotate_token(connection, tenant, token.token_id, secrets.fresh())


async def test_the_same_creation_twice_makes_one_token(connection: DirectConnection, tenant: int) -> None:
    secret, token_id = secrets.fresh(), f"tok_{uuid4().hex}"
    same = {"name": "ci", "role": Role.VIEWER, "token_id": token_id, "secret": secret}

    first = await identity.create_token(connection, tenant, now=NOW, **same)  # type: ignore[arg-type] # see `same`
    second = await identity.create_token(connection, tenant, now=NOW + timedelta(hours=1), **same)  # type: ignore[arg-type] # as above

    assert first == second
    assert len(await identity.tokens(connection, tenant)) == 1
    await identity.rotate_token(connection, tenant, token_id, secrets.fresh())
    with pytest.raises(Conflict):
        await identity.create_token(connection, tenant, now=NOW, **same)  # type: ignore[arg-type] # as above


async def test_use_is_noted(connection: DirectConnection, tenant: int) -> None:
    _, token = await made(connection, tenant)

    await identity.note_use(connection, [token.token_id], NOW + timedelta(minutes=5))

    assert (await identity.token_by_id(connection, tenant, token.token_id)).last_used_at == NOW + timedelta(minutes=5)


async def test_a_tenant_is_made_once(connection: DirectConnection) -> None:
    name = f"tenant-{uuid4()}"

    assert await identity.ensure_tenant(connection, name) == await identity.ensure_tenant(connection, name)
    with pytest.raises(NotFound):
        await identity.tenant_named(connection, f"{name}-not")


async def test_bootstrap_shows_a_token_once_and_takes_the_operators_choice(connection: DirectConnection) -> None:
    made_now = await identity.bootstrap(connection, None)
    assert made_now is not None
    assert await identity.bootstrap(connection, None) is None

    chosen = f"chosen-{uuid4()}"
    assert await identity.bootstrap(connection, chosen) is None
    assert await identity.bootstrap(connection, chosen) is None

    tenant_id = await identity.tenant_named(connection, identity.DEFAULT_TENANT)
    for text in (made_now, chosen):
        token = await identity.token_of(connection, secrets.digest(text))
        assert token is not None
        assert (token.tenant_id, token.role) == (tenant_id, Role.ADMIN)


async def test_a_runner_without_a_tenant_finds_that_of_its_execution_and_nothing_else(reader: Reader) -> None:
    async with reader.nobody() as nobody:
        assert await identity.tenant_of_execution(nobody, "exec_unknown") is None
        assert await nobody.fetchval("SELECT count(*) FROM executions") == 0
        assert await nobody.fetchval("SELECT count(*) FROM api_tokens") == 0
