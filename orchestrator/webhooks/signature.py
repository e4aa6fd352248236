"""How a delivery proves where it comes from: Standard Webhooks 1.0.0, and an HMAC over the body alone (X-074)."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from orchestrator.errors import FieldError, ValidationFailed

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32


def secret_of(random: bytes) -> str:
    """A new secret, made of `SECRET_BYTES` random bytes."""
    return PREFIX + b64encode(random).decode()


def key_of(secret: str) -> bytes:
    """The HMAC key of a secret: what `whsec_` announces in base64, the UTF-8 bytes of any other.

    Raises:
        ValidationFailed: no base64 follows `whsec_`.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValidationFailed(FieldError("secret", f"Must be base64 after {PREFIX}")) from None


def sign(message_id: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> str:
    """The `webhook-signature`: one of version 1 for each key, separated by spaces."""
    signed = f"{message_id}.{_seconds(at)}.".encode() + body
    return " ".join(f"v1,{b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in keys)


def headers(
    message_id: str, event: str, at: datetime, body: bytes, keys: Sequence[bytes], version: str
) -> dict[str, str]:
    """All headers of one attempt, in lower case.

    Args:
        message_id: the same for every attempt (X-075).
        event: its name.
        at: when this attempt is made.
        body: the exact bytes to be sent.
        keys: of the current secret, then of the former one while receivers may still use it.
        version: ours.
    """
    return {
        "content-type": "application/json",
        "user-agent": f"TMS-Webhooks/{version}",
        "webhook-id": message_id,
        "webhook-timestamp": str(_seconds(at)),
        "webhook-signature": sign(message_id, at, body, keys),
        "x-tms-event": event,
        "x-tms-signature": f"sha256={hmac.digest(keys[0], body, 'sha256').hex()}",
    }


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
