"""The delivery log on the wire, and what sends deliveries again."""

import msgspec

from gateway.wire.executions import Cursor, PageSize
from gateway.wire.moments import PrintedMoment, Timestamp, check
from gateway.wire.results import ExecutionId
from orchestrator.timestamps import to_text, to_text_or_none
from orchestrator.webhooks.model import DeliveryStatus, WebhookEvent
from storage import delivery_log
from storage.delivery_log import AttemptRecord, DeliveryFilter


class DeliveryQuery(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"execution_id": "executionId", "created_from": "from", "created_before": "to"},
):
    """Which deliveries of a webhook to list; `from` is included, `to` is not."""

    status: DeliveryStatus | None = None
    event: WebhookEvent | None = None
    execution_id: ExecutionId | None = None
    created_from: Timestamp | None = None
    created_before: Timestamp | None = None
    limit: PageSize = 50
    cursor: Cursor | None = None

    def __post_init__(self) -> None:
        check((self.created_from, self.created_before))

    def of(self, webhook_id: str) -> DeliveryFilter:
        """As the store knows it."""
        return DeliveryFilter(
            webhook_id=webhook_id,
            execution_id=self.execution_id,
            status=self.status,
            event=self.event,
            since=self.created_from,
            until=self.created_before,
        )


class ExecutionDeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries of an execution's events to list."""

    status: DeliveryStatus | None = None
    event: WebhookEvent | None = None
    limit: PageSize = 50
    cursor: Cursor | None = None

    def of(self, execution_id: str) -> DeliveryFilter:
        """As the store knows it."""
        return DeliveryFilter(execution_id=execution_id, status=self.status, event=self.event)


class Recover(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a recovery: all that failed or was missed, created then or later, is sent again."""

    since: Timestamp

    def __post_init__(self) -> None:
        check((self.since,))


class Recovered(msgspec.Struct, frozen=True):
    """How many deliveries were queued."""

    queued: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message to one webhook.

    Attributes:
        message_id: the `webhook-id` that is sent; the same at every webhook that is told of the event.
        attempt_count: requests so far.
        next_attempt_at: null unless it is pending.
        last_status_code: of the last answer; null if there was none.
        last_error: why there was none.
    """

    delivery_id: str
    webhook_id: str
    message_id: str
    event: str
    execution_id: str | None
    status: DeliveryStatus
    attempt_count: int
    created_at: PrintedMoment
    next_attempt_at: PrintedMoment | None
    ended_at: PrintedMoment | None
    last_status_code: int | None
    last_error: str | None


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One request; `duration` in milliseconds, `reply` the beginning of what was answered."""

    number: int
    at: PrintedMoment
    duration: int
    status_code: int | None
    error: str | None
    reply: str


class DeliveryDetails(Delivery, frozen=True, kw_only=True, rename="camel"):
    """A delivery with the body that is sent, byte for byte, and its attempts."""

    body: msgspec.Raw
    attempts: list[DeliveryAttempt]


class DeliveryPage(msgspec.Struct, frozen=True, rename="camel"):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None


def printed(delivery: delivery_log.Delivery) -> Delivery:
    """As it is listed."""
    return Delivery(
        delivery_id=delivery.delivery_id,
        webhook_id=delivery.webhook_id,
        message_id=delivery.message_id,
        event=delivery.event,
        execution_id=delivery.execution_id,
        status=delivery.status,
        attempt_count=delivery.attempts,
        created_at=to_text(delivery.created_at),
        next_attempt_at=to_text_or_none(delivery.due_at),
        ended_at=to_text_or_none(delivery.ended_at),
        last_status_code=delivery.last_status_code,
        last_error=delivery.last_error,
    )


def printed_whole(details: delivery_log.DeliveryDetails) -> DeliveryDetails:
    """As it is shown alone."""
    return DeliveryDetails(
        **msgspec.structs.asdict(printed(details.delivery)),
        body=msgspec.Raw(details.body.encode()),
        attempts=[_attempt(attempt) for attempt in details.attempts],
    )


def _attempt(attempt: AttemptRecord) -> DeliveryAttempt:
    return DeliveryAttempt(
        number=attempt.number,
        at=to_text(attempt.at),
        duration=attempt.duration_ms,
        status_code=attempt.status_code,
        error=attempt.error,
        reply=attempt.reply,
    )
