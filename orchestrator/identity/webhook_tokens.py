"""Webhook tokens: what a runner reports on its execution with (X-010, X-044).

Derived from the server's key and the execution's id, so that they need not be stored: who shows the right one has it
from the answer to the creation.
"""

import hmac
from base64 import urlsafe_b64encode

PREFIX = "wh_token_"


def token_of(key: bytes, execution_id: str) -> str:
    """The token of an execution: the prefix and 43 characters."""
    mac = hmac.digest(key, b"webhook-token\0" + execution_id.encode(), "sha256")
    return PREFIX + urlsafe_b64encode(mac).decode().rstrip("=")


def is_valid(key: bytes, execution_id: str, token: str) -> bool:
    """Whether the token is this execution's; takes as long for a nearly right one as for any other."""
    return hmac.compare_digest(token_of(key, execution_id).encode(), token.encode())
