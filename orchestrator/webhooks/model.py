"""What a webhook is: a registered endpoint, the events it wants, and the deliveries that it gets.

A *message* is one event, told to every webhook that matches it; its id is the `webhook-id` of Standard Webhooks, the
same for every attempt and every endpoint. A *delivery* is one message to one webhook. An *attempt* is one request.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from orchestrator.executions.model import Environment, TestSuite

MAX_RETRIES = 100
LONGEST_DELAY_MS = 24 * 3600 * 1000
LONGEST_DELAY_SECONDS = 7 * 24 * 3600
MAX_SCHEDULE = 100
SHORTEST_SECRET = 16
LONGEST_SECRET = 512
LONGEST_URL = 2048
MAX_FILTER_VALUES = 100


class WebhookEvent(StrEnum):
    """Every event that can be subscribed to: of executions (X-032), of test management, and of webhooks themselves."""

    EXECUTION_STARTED = "execution.started"
    EXECUTION_PROGRESS = "execution.progress"
    SHARD_STARTED = "shard.started"
    SHARD_COMPLETED = "shard.completed"
    EXECUTION_COMPLETED = "execution.completed"
    EXECUTION_FAILED = "execution.failed"
    EXECUTION_CANCELLED = "execution.cancelled"
    TEST_CASE_CREATED = "test_case.created"
    TEST_CASE_UPDATED = "test_case.updated"
    TEST_RUN_COMPLETED = "test_run.completed"
    SESSION_COMPLETED = "session.completed"
    ISSUE_CREATED = "issue.created"
    MILESTONE_COMPLETED = "milestone.completed"
    WEBHOOK_DISABLED = "webhook.disabled"


class WebhookStatus(StrEnum):
    """`active` gets deliveries; `inactive` was paused by a person, `disabled` by the server after lasting failure."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """`pending → delivered | failed`. `missed` was written while its webhook was not active; it can be recovered."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    MISSED = "missed"


class DisabledReason(StrEnum):
    """Why the server disabled a webhook; stable, for programs."""

    GONE = "gone"
    FAILING = "failing"


class Filters(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which executions a webhook is told of; an empty list lets all pass (X-035).

    Attributes:
        statuses: of the shard or execution that the event tells of, as its `data.status` has it.
    """

    test_suites: tuple[TestSuite, ...] = ()
    environments: tuple[Environment, ...] = ()
    branches: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


STANDARD_SCHEDULE = "standard"
"""The name of the long schedule of Standard Webhooks."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """When a delivery that failed is tried again (X-033).

    Attributes:
        max_retries: attempts after the first.
        retry_delay: milliseconds before the first retry.
        exponential_backoff: whether each further delay is twice the one before.
        schedule: seconds before each retry, or "standard"; takes the place of the other three.
    """

    max_retries: int = 3
    retry_delay: int = 5000
    exponential_backoff: bool = True
    schedule: tuple[float, ...] | str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a webhook that decides which events it is told of; what owners of executions know of it."""

    webhook_id: str
    tenant_id: int
    courier: int
    events: frozenset[str]
    filters: Filters
    status: WebhookStatus


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registered webhook, without its secret.

    Attributes:
        courier: which courier delivers to it, from 0; fixed at registration.
        events: as they were registered, each once.
        status_reason: a sentence on why it was disabled; None unless it is.
        failing_since: the first failed attempt since the last success; None while it works.
    """

    webhook_id: str
    tenant_id: int
    courier: int
    url: str
    events: tuple[str, ...]
    filters: Filters
    retry_policy: RetryPolicy
    status: WebhookStatus
    status_reason: str | None
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None
    last_validated_at: datetime | None
    former_secret_until: datetime | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one request ended.

    Attributes:
        at: when it was begun.
        duration_ms: until the answer, the error or the time limit.
        status_code: of the answer; None if there was none.
        error: a short sentence on why there was none; None if there was one.
        reply: the first `REPLY_BYTES` of the answer's body, as text.
        retry_after: seconds that the answer asked to wait; None if it did not.
    """

    at: datetime
    duration_ms: int
    status_code: int | None = None
    error: str | None = None
    reply: str = ""
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        """Only 2xx is."""
        return self.status_code is not None and 200 <= self.status_code < 300  # noqa: PLR2004 - as the sentence above

    @property
    def is_gone(self) -> bool:
        """410 says that nothing shall be sent there any more."""
        return self.status_code == 410  # noqa: PLR2004 - as the sentence above


REPLY_BYTES = 8192
