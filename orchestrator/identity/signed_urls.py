"""URLs that work without a header, for places that can send none: `<img>` and `<video>` of a page, a badge in a README.

What is signed is what may be seen, never who asks; a token has no place in a URL. Each purpose has signatures of its
own, so that one cannot stand for another.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime
from hashlib import sha256

_LONGEST_TENANT = 18


def signature(key: bytes, purpose: str, *parts: str) -> str:
    """43 characters that only who has the key can find for these parts."""
    # Each part is hashed, so that no part can pass for the end of the one before.
    message = b"".join(sha256(part.encode()).digest() for part in ("signed-url", purpose, *parts))
    return urlsafe_b64encode(hmac.digest(key, message, "sha256")).decode().rstrip("=")


def is_valid(given: str, key: bytes, purpose: str, *parts: str) -> bool:
    """Whether a signature is that of these parts; takes as long for a nearly right one as for any other."""
    return hmac.compare_digest(signature(key, purpose, *parts).encode(), given.encode())


def artifact_signature(key: bytes, execution_id: str, artifact_id: str, expires: int) -> str:
    """Of the URL of a file; `expires`: Unix seconds."""
    return signature(key, "artifact", execution_id, artifact_id, str(expires))


def opens_artifact(given: str, key: bytes, execution_id: str, artifact_id: str, expires: int, now: datetime) -> bool:
    """Whether a signature lets a file be seen now."""
    return expires > now.timestamp() and is_valid(given, key, "artifact", execution_id, artifact_id, str(expires))


def badge_signature(key: bytes, tenant_id: int, test_suite: str, branch: str | None, environment: str | None) -> str:
    """Of the URL of one badge, which never ends; begins with the tenant, for nothing else tells whose it is."""
    return f"{tenant_id}.{signature(key, 'badge', str(tenant_id), *_badge(test_suite, branch, environment))}"


def tenant_of_badge(given: str, key: bytes, test_suite: str, branch: str | None, environment: str | None) -> int | None:
    """Whose badge a signature lets be seen; None: it is not of this badge."""
    tenant, _, rest = given.partition(".")
    if not (tenant.isascii() and tenant.isdigit() and len(tenant) <= _LONGEST_TENANT):
        return None
    is_right = is_valid(rest, key, "badge", tenant, *_badge(test_suite, branch, environment))
    return int(tenant) if is_right else None


def _badge(test_suite: str, branch: str | None, environment: str | None) -> tuple[str, str, str]:
    return test_suite, branch or "", environment or ""
