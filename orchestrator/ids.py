"""Prefixed, time-ordered identifiers.

An execution's id is `exec_` and digits, the date first (X-007): UTC year to millisecond, then six random digits.
Every other id is its prefix, then 11 hex digits of Unix milliseconds and 13 random ones: ids made later sort later
and land at the end of an index.
"""

import secrets
from datetime import datetime
from uuid import UUID


def execution_id(now: datetime) -> str:
    """A new execution id, such as `exec_20250804123456789004217` for 2025-08-04T12:34:56.789Z."""
    return f"exec_{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}{secrets.randbelow(10**6):06d}"


def new_id(prefix: str, now: datetime) -> str:
    """A new id `{prefix}_` and 24 hex digits, such as `sub_0198756c3a51f0c2d9a5b7e1`."""
    milliseconds = int(now.timestamp() * 1000)
    return f"{prefix}_{milliseconds:011x}{secrets.randbits(52):013x}"


def short_request_id(request_id: UUID) -> str:
    """The `req_` form of a request's UUID, as the X family prints it in errors (X-086)."""
    return f"req_{request_id.hex[:12]}"
