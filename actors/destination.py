"""Where an endpoint's requests go, and what signs them."""

import importlib.metadata
from datetime import datetime
from functools import lru_cache

import msgspec
from yarl import URL

from orchestrator.webhooks import signature
from orchestrator.webhooks.sealing import Sealer
from storage.deliveries import Endpoint


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its secrets unsealed; its URL and its keys are worked out once, not for each request."""

    endpoint: Endpoint
    url: URL
    key: bytes
    former_key: bytes | None

    def headers(self, message_id: str, event: str, at: datetime, body: bytes) -> dict[str, str]:
        """All headers of a request that is made at this time, signed with the former secret too while it lasts."""
        keys = [self.key]
        until = self.endpoint.former_secret_until
        if self.former_key is not None and until is not None and at < until:
            keys.append(self.former_key)
        return signature.headers(message_id, event, at, body, keys, _version())


def destination_of(endpoint: Endpoint, sealer: Sealer) -> Destination:
    """Unseal an endpoint's secrets.

    Raises:
        InternalError: they were sealed with another key.
    """

    def key(sealed: bytes) -> bytes:
        return signature.key_of(sealer.open(sealed, endpoint.webhook_id))

    former = endpoint.former_secret
    return Destination(
        endpoint=endpoint,
        url=URL(endpoint.url, encoded=True),
        key=key(endpoint.secret),
        former_key=None if former is None else key(former),
    )


@lru_cache
def _version() -> str:
    return importlib.metadata.version("tms-orchestrator")
