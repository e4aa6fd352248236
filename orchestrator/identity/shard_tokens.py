"""Tokens of managed shards: what a command that the server runs may speak to the server with.

Derived from the server's key and the execution's id, as webhook tokens are. One is good for its execution alone, and
only until that has ended, which is looked up with every use.
"""

import hmac
import re
from base64 import urlsafe_b64encode

_FORM = re.compile(r"tms_shard_(?P<execution_id>[A-Za-z0-9_-]{1,64})\.(?P<mac>[A-Za-z0-9_-]{43})")


def token_of(key: bytes, execution_id: str) -> str:
    """The token of an execution's shards."""
    mac = hmac.digest(key, b"shard-token\0" + execution_id.encode(), "sha256")
    return f"tms_shard_{execution_id}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def execution_of(key: bytes, token: str) -> str | None:
    """The execution that a token is for; None if it is no such token of this server."""
    found = _FORM.fullmatch(token)
    if found is None:
        return None
    execution_id = found["execution_id"]
    return execution_id if hmac.compare_digest(token_of(key, execution_id).encode(), token.encode()) else None
