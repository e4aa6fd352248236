"""API tokens of the caller's tenant: make, list, revoke, rotate (X-003)."""

from gateway import paths
from gateway.calls import Call
from gateway.wire import tokens as wire
from orchestrator.errors import FieldError, Forbidden, ValidationFailed
from orchestrator.identity import tokens
from orchestrator.identity.roles import Role
from orchestrator.identity.tokens import Secret
from storage import identity
from storage.postgres import Connection

DEFAULT_ROLE = Role.QA_LEAD


async def create(call: Call[wire.CreateToken, None]) -> wire.SecretToken:
    """Make a token; its secret is shown this once, and again to the same `Idempotency-Key`."""
    body, marks, principal = call.body, call.marks(), call.principal
    role = body.role or DEFAULT_ROLE
    _refuse_above(call, role)
    if body.expires_at is not None and body.expires_at <= call.now:
        raise ValidationFailed(FieldError("expiresAt", "Must be in the future"))
    async with call.services.reader.tenant(principal.tenant_id, write=True) as connection:
        secret, token = await identity.create_token(
            connection,
            principal.tenant_id,
            name=body.name,
            role=role,
            now=call.now,
            expires_at=body.expires_at,
            token_id=f"tok_{marks.command_id.removeprefix('key_')}" if marks.may_repeat else None,
            secret=_secret(call),
        )
    if (token.name, token.role, token.expires_at) != (body.name, role, body.expires_at):
        raise ValidationFailed(
            message="This Idempotency-Key was used for another token; a new token needs a new key",
            code="IDEMPOTENCY_KEY_REUSED",
        )
    return wire.printed_once(secret, token)


async def page(call: Call[None, None]) -> wire.TokenList:
    """All tokens, without their secrets."""
    await call.authentication.note_uses()
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed = await identity.tokens(connection, call.principal.tenant_id)
    return wire.TokenList([wire.printed(token) for token in listed])


async def revoke(call: Call[None, None]) -> wire.Token:
    """End a token at once (other servers follow within a second)."""
    tenant_id, token_id = call.principal.tenant_id, paths.id_of(call.request, "tokenId")
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        await _require_rank(call, connection, token_id)
        token = await identity.revoke_token(connection, tenant_id, token_id, now=call.now)
    call.authentication.forget(token_id)
    return wire.printed(token)


async def rotate(call: Call[None, None]) -> wire.SecretToken:
    """Give a token another secret; the former one is void at once."""
    tenant_id, token_id = call.principal.tenant_id, paths.id_of(call.request, "tokenId")
    secret = _secret(call) or tokens.fresh()
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        await _require_rank(call, connection, token_id)
        token = await identity.rotate_token(connection, tenant_id, token_id, secret)
    call.authentication.forget(token_id)
    return wire.printed_once(secret.text, token)


def _secret(call: Call[wire.CreateToken, None] | Call[None, None]) -> Secret | None:
    """Under an `Idempotency-Key` the secret that belongs to it, so that it need not be kept to be told again."""
    marks = call.marks()
    return tokens.derived(call.services.secret_key, marks.command_id) if marks.may_repeat else None


async def _require_rank(call: Call[None, None], connection: Connection, token_id: str) -> None:
    token = await identity.token_by_id(connection, call.principal.tenant_id, token_id)
    _refuse_above(call, token.role)


def _refuse_above(call: Call[wire.CreateToken, None] | Call[None, None], role: Role) -> None:
    """Nobody hands out, takes over or ends more than it has itself."""
    own = call.principal.role
    if own is None or role.is_above(own):
        raise Forbidden(f"A token of role {own} cannot deal with tokens of role {role}")
