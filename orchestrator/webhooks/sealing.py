"""How secrets of webhooks and jobs are kept: encrypted, so that a copy of the database alone tells none."""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestrator.errors import InternalError

NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_PURPOSE: Final = b"tms webhook secrets"


class Sealer:
    """Seals with AES-256-GCM under a key derived from the server's; what it seals belongs to one webhook, or job.

    Args:
        secret_key: the server's.
        purpose: of the secrets; those of another purpose cannot be opened.
    """

    def __init__(self, secret_key: bytes, purpose: bytes = _PURPOSE) -> None:
        key = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(secret_key)
        self._cipher = AESGCM(key)

    def seal(self, text: str, webhook_id: str, nonce: bytes) -> bytes:
        """The nonce, then the encrypted text.

        Args:
            text: the secret.
            webhook_id: whose it is.
            nonce: `NONCE_BYTES` random bytes, never used before.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        return nonce + self._cipher.encrypt(nonce, text.encode(), webhook_id.encode())

    def open(self, sealed: bytes, webhook_id: str) -> str:
        """The text that was sealed for this webhook.

        Raises:
            InternalError: it was sealed with another key, for another webhook, or was damaged.
        """
        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], webhook_id.encode())
        except (InvalidTag, ValueError):
            raise InternalError(
                f"The secret of {webhook_id} cannot be read: was it stored under another key?"
                " Start with the TMS_SECRET_KEY of then (or the key file in the data folder of then),"
                " or give it a new secret"
            ) from None
        return text.decode()
