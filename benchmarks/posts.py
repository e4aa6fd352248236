"""What is posted: the same kind of signed message to the same endpoints, whoever posts it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle, islice

import msgspec

from orchestrator import ids
from orchestrator.webhooks import messages, signature
from orchestrator.webhooks.model import WebhookEvent

EVENT = WebhookEvent.SHARD_COMPLETED
SECRET = signature.secret_of(bytes(range(signature.SECRET_BYTES)))

_KEYS = (signature.key_of(SECRET),)


class Post(msgspec.Struct, frozen=True):
    """One request to make."""

    url: str
    message_id: str
    body: str


def made_for(urls: Sequence[str], amount: int) -> list[Post]:
    """So many, to one endpoint after the other."""
    now = datetime.now(UTC)
    body = messages.sample(EVENT, now)
    return [Post(url, ids.new_id("msg", now), body) for url in islice(cycle(urls), amount)]


def headers(message_id: str, body: bytes) -> dict[str, str]:
    """All headers of an attempt that is made now, with its signatures."""
    return signature.headers(message_id, EVENT, datetime.now(UTC), body, _KEYS, "0")
