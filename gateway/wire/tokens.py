"""API tokens on the wire (X-003)."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.wire.moments import PrintedMoment, Timestamp, check
from orchestrator.identity.roles import Role
from orchestrator.timestamps import to_text, to_text_or_none
from storage.identity import ApiToken


class CreateToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a token's creation. Without `role` it reads and writes executions; without `expiresAt` it stays."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Role | None = None
    expires_at: Timestamp | None = None

    def __post_init__(self) -> None:
        check((self.expires_at,))


class Token(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A token without its secret."""

    id: str
    name: str
    role: Role
    prefix: str
    created_at: PrintedMoment
    last_used_at: PrintedMoment | None
    expires_at: PrintedMoment | None
    revoked_at: PrintedMoment | None


class SecretToken(Token, frozen=True, kw_only=True, rename="camel"):
    """A token with its secret, which is shown this once."""

    token: str


class TokenList(msgspec.Struct, frozen=True):
    """A tenant's tokens, oldest first."""

    tokens: list[Token]


def printed(token: ApiToken) -> Token:
    """As it is listed."""
    return Token(
        id=token.token_id,
        name=token.name,
        role=token.role,
        prefix=token.prefix,
        created_at=to_text(token.created_at),
        last_used_at=to_text_or_none(token.last_used_at),
        expires_at=to_text_or_none(token.expires_at),
        revoked_at=to_text_or_none(token.revoked_at),
    )


def printed_once(secret: str, token: ApiToken) -> SecretToken:
    """As it is given out."""
    return SecretToken(token=secret, **msgspec.structs.asdict(printed(token)))
