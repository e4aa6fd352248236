"""API tokens: `tms_`, eight hex digits that may be shown, and a secret that is shown once.

Only the SHA-256 of a token is kept: with 256 random bits there is nothing to guess, so a slow hash would only slow
down every request.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec

_MATERIAL_BYTES = 36
_SHOWN_BYTES = 4
_SHOWN_OF_FOREIGN = 4


class Secret(msgspec.Struct, frozen=True):
    """A token as it is handed out.

    Attributes:
        text: the token itself.
        prefix: how it begins; shown in lists, to find the owner of one that leaked.
        digest: what is stored.
    """

    text: str
    prefix: str
    digest: bytes

    def __repr__(self) -> str:
        return f"Secret({self.prefix}…)"


def fresh() -> Secret:
    """A random token."""
    return _made_of(secrets.token_bytes(_MATERIAL_BYTES))


def derived(key: bytes, *parts: str) -> Secret:
    """The token that belongs to these parts, the same whenever it is asked for; unguessable without the key."""
    purpose = "\0".join(("api-token", *parts)).encode()
    return _made_of(hmac.digest(key, purpose, "sha512")[:_MATERIAL_BYTES])


def given(text: str) -> Secret:
    """A token that an operator chose."""
    return Secret(text=text, prefix=text[:_SHOWN_OF_FOREIGN], digest=digest(text))


def digest(text: str) -> bytes:
    """What is stored of a token, and what it is found by."""
    return sha256(text.encode()).digest()


def _made_of(material: bytes) -> Secret:
    shown = f"tms_{material[:_SHOWN_BYTES].hex()}"
    text = f"{shown}_{urlsafe_b64encode(material[_SHOWN_BYTES:]).decode().rstrip('=')}"
    return Secret(text=text, prefix=shown, digest=digest(text))
