"""`Idempotency-Key`: a request sent again with the same key is carried out once (X-085)."""

import re
from datetime import datetime
from hashlib import blake2b

import msgspec
from aiohttp import web

from orchestrator import ids
from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.identity.model import Principal

HEADER = "Idempotency-Key"
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_HASH_BYTES = 16


class Marks(msgspec.Struct, frozen=True):
    """What a command carries of it.

    Attributes:
        command_id: the same for the same key of the same caller on the same path.
        may_repeat: there is a key.
        fingerprint: of the body; empty without a key.
    """

    command_id: str
    may_repeat: bool
    fingerprint: bytes


def marks(request: web.Request, principal: Principal, raw: bytes, now: datetime) -> Marks:
    """The marks of a request.

    Raises:
        ValidationFailed: the key is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return Marks(ids.new_id("cmd", now), may_repeat=False, fingerprint=b"")
    if _VISIBLE.fullmatch(key) is None:
        raise ValidationFailed(FieldError(HEADER, "Must be 1 to 255 visible ASCII characters"))
    scope = "\0".join((str(principal.tenant_id), principal.subject, request.method, request.rel_url.raw_path, key))
    return Marks(f"key_{_hash(scope.encode()).hex()}", may_repeat=True, fingerprint=_hash(raw))


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=_HASH_BYTES).digest()
