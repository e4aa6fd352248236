"""Endpoints and due rows as lanes get them: only what matters to the test is named."""

from datetime import UTC, datetime
from itertools import count

from yarl import URL

from actors.destination import Destination
from orchestrator.webhooks.model import Outcome, RetryPolicy, WebhookStatus
from storage.deliveries import Due, Endpoint

AT = datetime(2025, 8, 4, 12, 0, tzinfo=UTC)

_numbers = count(1)


def destination(webhook_id: str = "wh_1", url: str = "http://127.0.0.1/") -> Destination:
    """Where a webhook leads; no secret is read for it."""
    endpoint = Endpoint(
        webhook_id=webhook_id,
        tenant_id=1,
        url=url,
        secret=b"",
        former_secret=None,
        former_secret_until=None,
        retry_policy=RetryPolicy(),
        status=WebhookStatus.ACTIVE,
        failing_since=None,
    )
    return Destination(endpoint=endpoint, url=URL(url), key=b"key", former_key=None)


def due(webhook_id: str = "wh_1", *, tries: int = 0) -> Due:
    """A delivery that is due; each call makes the next one."""
    number = next(_numbers)
    return Due(
        delivery_id=f"dlv_{number}",
        webhook_id=webhook_id,
        message_id=f"msg_{number}",
        ordinal=number,
        event="shard.completed",
        body="{}",
        tries=tries,
        attempts=tries,
        due_at=AT,
    )


def outcome(status: int | None = 200, retry_after: float | None = None) -> Outcome:
    """How a request ended; without a status it did not get an answer."""
    error = "Connection refused" if status is None else None
    return Outcome(at=AT, duration_ms=5, status_code=status, error=error, retry_after=retry_after)
