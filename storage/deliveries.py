"""Messages on their way to webhooks: written by the owners of executions, sent and recorded by couriers.

What became of them is read in `storage.delivery_log`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from orchestrator import ids
from orchestrator.errors import StaleOwner
from orchestrator.webhooks import filters, messages
from orchestrator.webhooks.model import (
    DeliveryStatus,
    DisabledReason,
    Outcome,
    RetryPolicy,
    Subscription,
    WebhookEvent,
    WebhookStatus,
)
from storage.executions import Row
from storage.postgres import Connection
from storage.webhooks import retry_policies, subscriptions


class MessageRow(msgspec.Struct, frozen=True):
    """One row of `webhook_messages`; `body` is the text that is sent."""

    message_id: str
    tenant_id: int
    event: str
    execution_id: str | None
    body: str
    created_at: datetime


class DeliveryRow(msgspec.Struct, frozen=True):
    """A new row of `webhook_deliveries`: `pending`, and due at once; or `missed`, and over."""

    delivery_id: str
    tenant_id: int
    webhook_id: str
    message_id: str
    event: str
    execution_id: str | None
    status: DeliveryStatus
    created_at: datetime


def addressed(message: MessageRow, webhooks: Iterable[Subscription]) -> list[DeliveryRow]:
    """The deliveries of a message, one to each webhook; one that is not active has missed it."""
    return [
        DeliveryRow(
            delivery_id=ids.new_id("dlv", message.created_at),
            tenant_id=message.tenant_id,
            webhook_id=webhook.webhook_id,
            message_id=message.message_id,
            event=message.event,
            execution_id=message.execution_id,
            status=DeliveryStatus.PENDING if webhook.status is WebhookStatus.ACTIVE else DeliveryStatus.MISSED,
            created_at=message.created_at,
        )
        for webhook in webhooks
    ]


_DELIVERY_COLUMNS = (*DeliveryRow.__struct_fields__, "due_at", "ended_at")


async def write(
    connection: Connection, message_rows: Sequence[MessageRow], delivery_rows: Sequence[DeliveryRow]
) -> None:
    """Write messages and their deliveries, numbered in this order; in the transaction of what they tell of."""
    await connection.copy_records_to_table(
        "webhook_messages",
        records=map(msgspec.structs.astuple, message_rows),
        columns=MessageRow.__struct_fields__,
    )
    await connection.copy_records_to_table(
        "webhook_deliveries", records=map(_delivery_record, delivery_rows), columns=_DELIVERY_COLUMNS
    )


async def sample(connection: Connection, message: MessageRow, delivery: DeliveryRow) -> None:
    """Write one message and its delivery on a reader's connection, which may not COPY."""
    await connection.execute(
        "INSERT INTO webhook_messages (message_id, tenant_id, event, execution_id, body, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        *msgspec.structs.astuple(message),
    )
    await connection.execute(
        "INSERT INTO webhook_deliveries (delivery_id, tenant_id, webhook_id, message_id, event, execution_id, status,"
        " created_at, due_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *_delivery_record(delivery),
    )


def _delivery_record(row: DeliveryRow) -> tuple[object, ...]:
    is_pending = row.status is DeliveryStatus.PENDING
    ending = (row.created_at, None) if is_pending else (None, row.created_at)
    return (*msgspec.structs.astuple(row), *ending)


async def claim(connection: Connection, courier: int) -> int:
    """Become a courier: raise its epoch, so that any former one's next commit is refused.

    Returns:
        The new epoch, to be given to `fence`.
    """
    epoch: int | None = await connection.fetchval(
        "UPDATE couriers SET epoch = epoch + 1, claimed_at = now() WHERE courier = $1 RETURNING epoch", courier
    )
    if epoch is None:
        raise LookupError(f"courier {courier} does not exist")
    return epoch


async def fence(connection: Connection, courier: int, epoch: int) -> None:
    """Stay the courier for the running transaction.

    Raises:
        StaleOwner: another has taken its place since.
    """
    current = await connection.fetchval("SELECT epoch FROM couriers WHERE courier = $1 FOR SHARE", courier)
    _check_epoch(courier, current, epoch)


async def check_epoch(connection: Connection, courier: int, epoch: int) -> None:
    """Be the courier still, at this moment: as `fence`, without a lock.

    Raises:
        StaleOwner: another has taken its place since.
    """
    current = await connection.fetchval("SELECT epoch FROM couriers WHERE courier = $1", courier)
    _check_epoch(courier, current, epoch)


def _check_epoch(courier: int, current: int | None, epoch: int) -> None:
    if current != epoch:
        raise StaleOwner(f"courier {courier} was replaced by a newer one (epoch {current}, ours {epoch})")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a courier knows of a webhook. `secret` and `former_secret` are sealed."""

    webhook_id: str
    tenant_id: int
    url: str
    secret: bytes
    former_secret: bytes | None
    former_secret_until: datetime | None
    retry_policy: RetryPolicy
    status: WebhookStatus
    failing_since: datetime | None


_ENDPOINT_COLUMNS = ", ".join(Endpoint.__struct_fields__)


async def endpoints(connection: Connection, courier: int) -> list[Endpoint]:
    """All webhooks of a courier, those that are not active too."""
    rows = await connection.fetch(
        f"SELECT {_ENDPOINT_COLUMNS} FROM webhooks WHERE courier = $1 AND deleted_at IS NULL",  # noqa: S608 - our own columns
        courier,
    )
    return [_endpoint(row) for row in rows]


async def endpoint(connection: Connection, webhook_id: str) -> Endpoint | None:
    """One webhook, active or not; None if there is none with this id, or it was deleted."""
    row = await connection.fetchrow(
        f"SELECT {_ENDPOINT_COLUMNS} FROM webhooks WHERE webhook_id = $1 AND deleted_at IS NULL",  # noqa: S608 - our own columns
        webhook_id,
    )
    return None if row is None else _endpoint(row)


def _endpoint(row: Row) -> Endpoint:
    fields = {
        **row,
        "retry_policy": retry_policies.decode(row["retry_policy"]),
        "status": WebhookStatus(row["status"]),
    }
    return Endpoint(**fields)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose time has come, with what is sent. `tries` and `attempts` are those recorded so far."""

    delivery_id: str
    webhook_id: str
    message_id: str
    ordinal: int
    event: str
    body: str
    tries: int
    attempts: int
    due_at: datetime


async def due(
    connection: Connection,
    wanted: Mapping[str, int],
    now: datetime,
    *,
    held: Collection[str] = (),
    retries_only: bool = False,
) -> list[Due]:
    """The first deliveries that are due, in the order of their time and ordinal.

    The cost is that of the rows returned and of those held, however many more are pending.

    Args:
        connection: of the owning role.
        wanted: webhook to how many of its deliveries; of one that is not active there are none.
        now: the present.
        held: deliveries to leave out: those in the caller's memory, which stay pending until they are recorded.
        retries_only: leave out those not tried since they were last queued.
    """
    rows = await connection.fetch(
        _DUE_RETRIES if retries_only else _DUE_DELIVERIES,
        *(list(wanted), list(wanted.values()), now, list(held)),
    )
    return [Due(**row) for row in rows]


_DUE_QUERY = f"SELECT {', '.join(Due.__struct_fields__)} FROM {{}}($1, $2, $3, $4) ORDER BY due_at, ordinal"  # noqa: S608 - our own columns
_DUE_DELIVERIES = _DUE_QUERY.format("due_webhook_deliveries")
_DUE_RETRIES = _DUE_QUERY.format("due_webhook_retries")


async def next_due(connection: Connection, webhook_ids: Sequence[str], after: datetime) -> dict[str, datetime]:
    """When each webhook's next delivery is due, of those due later than `after`; webhooks without one are left out."""
    rows = await connection.fetch(
        "SELECT lane.webhook_id, d.due_at FROM unnest($1::text[]) AS lane(webhook_id) CROSS JOIN LATERAL ("
        " SELECT due_at FROM webhook_deliveries AS p"
        " WHERE p.webhook_id = lane.webhook_id AND p.status = 'pending' AND p.due_at > $2"
        " ORDER BY p.due_at LIMIT 1) AS d",
        webhook_ids,
        after,
    )
    return {row["webhook_id"]: row["due_at"] for row in rows}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was made, and what follows from it.

    Attributes:
        number: counts all attempts of the delivery, from 1.
        was_due_at: when this one was due; that of the delivery is another if it was queued again meanwhile.
        due_at: when the next one is due; None after a success, and where it is given up.
    """

    delivery_id: str
    webhook_id: str
    tenant_id: int
    number: int
    was_due_at: datetime
    outcome: Outcome
    due_at: datetime | None = None

    @property
    def status(self) -> DeliveryStatus:
        """Of the delivery, after it."""
        if self.outcome.is_success:
            return DeliveryStatus.DELIVERED
        return DeliveryStatus.FAILED if self.due_at is None else DeliveryStatus.PENDING


async def record(connection: Connection, attempts: Sequence[Attempt]) -> None:
    """Write attempts, one or more in the order they ended, and what follows for their deliveries and webhooks.

    The same attempts may be recorded again, after a commit of which nobody knows whether it was carried out: it changes
    nothing. A delivery that is no longer pending (its webhook was deleted meanwhile) stays as it is. One queued again
    meanwhile stays so, with all its tries before it, unless the attempt was a success.
    """
    await _write_attempts(connection, attempts)
    # The last of several attempts of one delivery says what it is now.
    await _update_deliveries(connection, {attempt.delivery_id: attempt for attempt in attempts}.values())
    await _note_failing(connection, attempts)


async def _write_attempts(connection: Connection, attempts: Sequence[Attempt]) -> None:
    rows = [
        (
            *(attempt.delivery_id, attempt.number, attempt.tenant_id, attempt.outcome.at, attempt.outcome.duration_ms),
            *(attempt.outcome.status_code, _storable(attempt.outcome.error), _storable(attempt.outcome.reply)),
        )
        for attempt in attempts
    ]
    await connection.execute(
        "INSERT INTO webhook_attempts (delivery_id, number, tenant_id, at, duration_ms, status_code, error, reply)"
        " SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::timestamptz[], $5::int[], $6::int[],"
        " $7::text[], $8::text[]) ON CONFLICT DO NOTHING",
        *zip(*rows, strict=True),
    )


async def _update_deliveries(connection: Connection, last: Collection[Attempt]) -> None:
    rows = [
        (
            *(attempt.delivery_id, attempt.number, attempt.status, attempt.due_at, _end(attempt)),
            *(attempt.outcome.status_code, _storable(attempt.outcome.error), attempt.was_due_at),
        )
        for attempt in last
    ]
    await connection.execute(
        "UPDATE webhook_deliveries AS d SET attempts = n.number,"  # noqa: S608 - our own words
        " last_status_code = n.status_code, last_error = n.error,"
        f" status = CASE WHEN {_QUEUED_AGAIN} THEN d.status ELSE n.status END,"
        f" tries = CASE WHEN {_QUEUED_AGAIN} THEN d.tries ELSE d.tries + n.number - d.attempts END,"
        f" due_at = CASE WHEN {_QUEUED_AGAIN} THEN d.due_at ELSE n.due_at END,"
        f" ended_at = CASE WHEN {_QUEUED_AGAIN} THEN d.ended_at ELSE n.ended_at END"
        " FROM unnest($1::text[], $2::int[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::int[], $7::text[],"
        " $8::timestamptz[]) AS n(delivery_id, number, status, due_at, ended_at, status_code, error, was_due_at)"
        " WHERE d.delivery_id = n.delivery_id AND d.ended_at IS NULL AND d.attempts < n.number",
        *zip(*rows, strict=True),
    )


_QUEUED_AGAIN = "d.due_at <> n.was_due_at AND n.status <> 'delivered'"


def _end(attempt: Attempt) -> datetime | None:
    if attempt.status is DeliveryStatus.PENDING:
        return None
    return attempt.outcome.at + timedelta(milliseconds=attempt.outcome.duration_ms)


async def _note_failing(connection: Connection, attempts: Sequence[Attempt]) -> None:
    """Since when each webhook has been failing; a row is written only where that begins or ends."""
    worked: dict[str, bool] = {}
    since: dict[str, datetime | None] = {}
    for attempt in attempts:
        if attempt.outcome.is_success:
            worked[attempt.webhook_id], since[attempt.webhook_id] = True, None
        elif since.get(attempt.webhook_id) is None:
            worked.setdefault(attempt.webhook_id, False)
            since[attempt.webhook_id] = attempt.outcome.at
    await connection.execute(
        "UPDATE webhooks AS w SET failing_since = n.since"
        " FROM unnest($1::text[], $2::bool[], $3::timestamptz[]) AS n(webhook_id, worked, since)"
        " WHERE w.webhook_id = n.webhook_id"
        " AND CASE WHEN n.worked THEN w.failing_since IS DISTINCT FROM n.since ELSE w.failing_since IS NULL END",
        *(list(worked), list(worked.values()), [since[webhook_id] for webhook_id in worked]),
    )


def _storable(text: str | None) -> str | None:
    """Without NUL characters, which Postgres cannot keep; a receiver may answer with anything."""
    return None if text is None else text.replace("\0", "\ufffd")


async def disable(
    connection: Connection, webhook_id: str, code: DisabledReason, reason: str, now: datetime
) -> dict[int, list[str]]:
    """Disable a webhook, and tell the tenant's other webhooks that want to know of it; those not active miss it.

    Args:
        connection: of the owning role, in the transaction of the attempt that is the reason.
        webhook_id: which; nothing happens if it is not active.
        code: the reason for programs.
        reason: the reason as a sentence.
        now: the present.

    Returns:
        Courier to the webhooks that it has something new for, to be told after the commit (`Bus.publish_due`).
    """
    tenant_id = await connection.fetchval(
        "UPDATE webhooks SET status = 'disabled', status_reason = $2, updated_at = $3"
        " WHERE webhook_id = $1 AND status = 'active' AND deleted_at IS NULL RETURNING tenant_id",
        *(webhook_id, reason, now),
    )
    if tenant_id is None:
        return {}
    event = WebhookEvent.WEBHOOK_DISABLED
    others = [
        one
        for one in (await subscriptions(connection, [tenant_id]))[tenant_id]
        if one.webhook_id != webhook_id and filters.matches(one, event, None)
    ]
    if not others:
        return {}
    body = messages.disabled(webhook_id, code, reason, now)
    message = MessageRow(ids.new_id("msg", now), tenant_id, event, None, body, now)
    await write(connection, [message], addressed(message, others))
    told: dict[int, list[str]] = {}
    for one in others:
        if one.status is WebhookStatus.ACTIVE:
            told.setdefault(one.courier, []).append(one.webhook_id)
    return told
