"""`Idempotency-Key`: a request sent again with the same key is carried out once (X-085).

Owners keep receipts of the commands that they carry out. For what the gateway carries out itself it is `once`, or
`recall` and `keep` where the work takes longer than a transaction may.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec
from aiohttp import web

from orchestrator import ids
from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.identity.model import Principal
from storage import receipts
from storage.postgres import Connection

HEADER = "Idempotency-Key"
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_HASH_BYTES = 16

A = TypeVar("A", bound=msgspec.Struct)


class Marks(msgspec.Struct, frozen=True):
    """What a command carries of it.

    Attributes:
        command_id: the same for the same key of the same caller on the same path.
        may_repeat: there is a key.
        fingerprint: of the body; empty without a key.
        tenant_id: whose request it is.
        at: when it came.
    """

    command_id: str
    may_repeat: bool
    fingerprint: bytes
    tenant_id: int
    at: datetime


def marks(request: web.Request, principal: Principal, raw: bytes, now: datetime) -> Marks:
    """The marks of a request.

    Raises:
        ValidationFailed: the key is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return Marks(ids.new_id("cmd", now), may_repeat=False, fingerprint=b"", tenant_id=principal.tenant_id, at=now)
    if _VISIBLE.fullmatch(key) is None:
        raise ValidationFailed(FieldError(HEADER, "Must be 1 to 255 visible ASCII characters"))
    scope = "\0".join((str(principal.tenant_id), principal.subject, request.method, request.rel_url.raw_path, key))
    return Marks(
        f"key_{_hash(scope.encode()).hex()}",
        may_repeat=True,
        fingerprint=_hash(raw),
        tenant_id=principal.tenant_id,
        at=now,
    )


async def once(connection: Connection, marks: Marks, kind: type[A], work: Callable[[], Awaitable[A]]) -> A:
    """Do the work of a request, in the running transaction; of one that was carried out before, its answer.

    Args:
        connection: may write for the tenant.
        marks: of the request.
        kind: of its answer, which is kept and so must hold no secret.
        work: on this connection alone.

    Raises:
        ValidationFailed: the key was used for another request.
    """
    answer = await recall(connection, marks, kind)
    if answer is None:
        answer = await work()
        await keep(connection, marks, answer)
    return answer


async def recall(connection: Connection, marks: Marks, kind: type[A]) -> A | None:
    """The answer to a request that was carried out before; None if it was not, or has no key.

    Raises:
        ValidationFailed: the key was used for another request.
    """
    kept = await receipts.take(connection, marks.command_id) if marks.may_repeat else None
    if kept is None:
        return None
    fingerprint, text = kept
    if fingerprint != marks.fingerprint:
        raise ValidationFailed(
            message="This Idempotency-Key was used for another request; a new request needs a new key",
            code="IDEMPOTENCY_KEY_REUSED",
        )
    return msgspec.json.decode(text, type=kind)


async def keep(connection: Connection, marks: Marks, answer: msgspec.Struct) -> None:
    """Remember the answer to a request that has a key."""
    if marks.may_repeat:
        text = msgspec.json.encode(answer).decode()
        await receipts.keep(connection, marks.tenant_id, marks.command_id, marks.fingerprint, text, marks.at)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=_HASH_BYTES).digest()
