"""Webhooks on the wire: how they are registered, changed and printed (X-031 to X-042)."""

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.wire.executions import Cursor, PageSize, Provider
from gateway.wire.moments import PrintedMoment
from orchestrator.executions.model import Environment, TestSuite
from orchestrator.timestamps import to_text, to_text_or_none
from orchestrator.webhooks import model
from orchestrator.webhooks.model import (
    LONGEST_DELAY_MS,
    LONGEST_DELAY_SECONDS,
    LONGEST_SECRET,
    LONGEST_URL,
    MAX_FILTER_VALUES,
    MAX_RETRIES,
    MAX_SCHEDULE,
    SHORTEST_SECRET,
    Outcome,
    WebhookEvent,
    WebhookStatus,
)

DAY_SECONDS = 24 * 3600
LONGEST_OVERLAP_SECONDS = 30 * DAY_SECONDS
_MOST_EVENTS = 100

V = TypeVar("V")
FilterValues = Annotated[list[V], Meta(max_length=MAX_FILTER_VALUES)]

Url = Annotated[str, Meta(min_length=1, max_length=LONGEST_URL, examples=["https://ci.example.com/hooks/tms"])]
Events = Annotated[list[WebhookEvent], Meta(min_length=1, max_length=_MOST_EVENTS)]
Secret = Annotated[
    str,
    Meta(
        min_length=SHORTEST_SECRET,
        max_length=LONGEST_SECRET,
        description="`whsec_` and base64, or any text; unset: one is made, and shown in the answer alone",
    ),
]
DelaySeconds = Annotated[float, Meta(ge=0, le=LONGEST_DELAY_SECONDS, description="seconds")]
Schedule = Annotated[list[DelaySeconds], Meta(max_length=MAX_SCHEDULE)]
Branch = Annotated[str, Meta(min_length=1, max_length=255)]
ToldStatus = Literal["running", "completed", "failed", "error", "cancelled"]
"""The `data.status` of events of executions and shards."""


class NewRetryPolicy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """When a delivery that failed is tried again (X-033); what is not given has its default.

    `schedule`, seconds before each retry or the name of the long schedule, takes the place of the other three.
    """

    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None
    retry_delay: Annotated[int, Meta(ge=0, le=LONGEST_DELAY_MS, description="milliseconds")] | None = None
    exponential_backoff: bool | None = None
    schedule: Schedule | Literal["standard"] | None = None

    def settled(self) -> model.RetryPolicy:
        """With the defaults filled in."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if isinstance(self.schedule, list):
            given["schedule"] = tuple(self.schedule)
        return model.RetryPolicy(**given)


class NewFilters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which executions it is told of (X-035); a filter that is empty or not given lets all pass."""

    test_suites: FilterValues[TestSuite] | None = None
    environments: FilterValues[Environment] | None = None
    branches: FilterValues[Branch] | None = None
    statuses: FilterValues[ToldStatus] | None = None
    providers: FilterValues[Provider] | None = None

    def settled(self) -> model.Filters:
        """As the rules know them, each value once."""
        return model.Filters(
            **{name: tuple(dict.fromkeys(values or ())) for name, values in msgspec.structs.asdict(self).items()}
        )


class CreateWebhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a registration (X-031, X-036). With `active` false it is paused from the start."""

    url: Url
    events: Events
    secret: Secret | None = None
    retry_policy: NewRetryPolicy | None = None
    filters: NewFilters | None = None
    active: bool | None = None


class ChangeWebhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a change; what is not given stays. `filters` and `retryPolicy` are replaced as a whole.

    `status` and `active` say the same in two ways: paused by a person, or taken up again.
    """

    url: Url | None = None
    events: Events | None = None
    retry_policy: NewRetryPolicy | None = None
    filters: NewFilters | None = None
    status: Literal["active", "inactive"] | None = None
    active: bool | None = None


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a rotation, which may be left out. The former secret signs as well for `overlapSeconds`."""

    secret: Secret | None = None
    overlap_seconds: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP_SECONDS)] = DAY_SECONDS


class SendSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a sample: of which event, subscribed to or not."""

    event: WebhookEvent


class WebhookCreated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a registration: the five documented keys, and the secret if it was made here (X-031)."""

    webhook_id: str
    url: str
    events: tuple[str, ...]
    status: WebhookStatus
    created_at: PrintedMoment
    secret: str | UnsetType = UNSET


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The policy with its defaults; `schedule`, if there is one, is what counts."""

    max_retries: int
    retry_delay: int
    exponential_backoff: bool
    schedule: tuple[float, ...] | str | None


class Filters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All filters; an empty one lets all pass."""

    test_suites: tuple[str, ...]
    environments: tuple[str, ...]
    branches: tuple[str, ...]
    statuses: tuple[str, ...]
    providers: tuple[str, ...]


class Webhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A webhook as it stands, without its secret.

    Attributes:
        status_reason: why the server disabled it; null unless it did.
        failing_since: the first failed attempt since the last success; null while it works.
        former_secret_until: until when a rotated secret signs as well; null if none does.
    """

    webhook_id: str
    url: str
    events: tuple[str, ...]
    status: WebhookStatus
    created_at: PrintedMoment
    updated_at: PrintedMoment
    filters: Filters
    retry_policy: RetryPolicy
    status_reason: str | None
    failing_since: PrintedMoment | None
    last_validated_at: PrintedMoment | None
    former_secret_until: PrintedMoment | None


class WebhookPage(msgspec.Struct, frozen=True, rename="camel"):
    """Webhooks, newest first."""

    webhooks: list[Webhook]
    next_cursor: str | None


class WebhookQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which webhooks to list: those of this status, with exactly this URL, subscribed to this event."""

    status: WebhookStatus | None = None
    url: Annotated[str, Meta(max_length=LONGEST_URL)] | None = None
    event: WebhookEvent | None = None
    limit: PageSize = 50
    cursor: Cursor | None = None


class WebhookDeleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a deletion."""

    webhook_id: str
    status: Literal["deleted"] = "deleted"
    deleted_at: PrintedMoment


class SecretRotated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a rotation; the secret if it was made here, shown this once."""

    webhook_id: str
    former_secret_until: PrintedMoment | None
    secret: str | UnsetType = UNSET


class Validation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of a test request (X-040).

    Attributes:
        response_code: null if no answer came.
        response_time: milliseconds until the answer, the error or the time limit.
    """

    webhook_id: str
    status: Literal["valid", "invalid"]
    response_code: int | None
    response_time: int
    last_validated_at: PrintedMoment


def created(webhook: model.Webhook) -> WebhookCreated:
    """As a registration is answered, without the secret."""
    return WebhookCreated(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        events=webhook.events,
        status=webhook.status,
        created_at=to_text(webhook.created_at),
    )


def rotated(webhook: model.Webhook) -> SecretRotated:
    """As a rotation is answered, without the secret."""
    return SecretRotated(
        webhook_id=webhook.webhook_id, former_secret_until=to_text_or_none(webhook.former_secret_until)
    )


def printed(webhook: model.Webhook, now: datetime) -> Webhook:
    """As it is shown and listed; a former secret whose time has passed is none."""
    policy, former_until = webhook.retry_policy, webhook.former_secret_until
    return Webhook(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        events=webhook.events,
        status=webhook.status,
        created_at=to_text(webhook.created_at),
        updated_at=to_text(webhook.updated_at),
        filters=Filters(**msgspec.structs.asdict(webhook.filters)),
        retry_policy=RetryPolicy(**msgspec.structs.asdict(policy)),
        status_reason=webhook.status_reason,
        failing_since=to_text_or_none(webhook.failing_since),
        last_validated_at=to_text_or_none(webhook.last_validated_at),
        former_secret_until=to_text(former_until) if former_until is not None and former_until > now else None,
    )


def validation(webhook_id: str, outcome: Outcome) -> Validation:
    """As it is printed."""
    return Validation(
        webhook_id=webhook_id,
        status="valid" if outcome.is_success else "invalid",
        response_code=outcome.status_code,
        response_time=outcome.duration_ms,
        last_validated_at=to_text(outcome.at),
    )
