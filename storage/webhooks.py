"""Registered webhooks: made, changed and listed by the gateway for one tenant, read by the owners of executions."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec
from sqlalchemy import any_, literal, select, tuple_

from orchestrator.errors import Conflict, NotFound
from orchestrator.webhooks.model import Filters, RetryPolicy, Subscription, Webhook, WebhookStatus
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection

_COLUMNS = Webhook.__struct_fields__
_RETURNING = f"RETURNING {', '.join(_COLUMNS)}"


async def create(connection: Connection, webhook: Webhook, secret: bytes) -> Webhook:
    """Register a webhook.

    Args:
        connection: a reader's that may write for this tenant.
        webhook: as it is to be.
        secret: its secret, sealed.

    Returns:
        The webhook as it is stored.

    Raises:
        Conflict: there is another webhook with the same URL and events, in whatever order (X-038).
    """
    key = _events_key(webhook.events)
    row = await connection.fetchrow(
        "INSERT INTO webhooks (webhook_id, tenant_id, courier, url, events, events_key, filters, retry_policy, secret,"  # noqa: S608 - our own columns
        " status, status_reason, created_at, updated_at, failing_since, last_validated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        f" ON CONFLICT DO NOTHING {_RETURNING}",
        *(webhook.webhook_id, webhook.tenant_id, webhook.courier, webhook.url, webhook.events, key),
        *(_json(webhook.filters), _json(webhook.retry_policy), secret, webhook.status, webhook.status_reason),
        *(webhook.created_at, webhook.updated_at, webhook.failing_since, webhook.last_validated_at),
    )
    if row is None:
        other = await connection.fetchval(
            "SELECT webhook_id FROM webhooks WHERE tenant_id = $1 AND url = $2 AND events_key = $3"
            " AND deleted_at IS NULL",
            *(webhook.tenant_id, webhook.url, key),
        )
        raise Conflict(f"{other or 'Another webhook'} has the same URL and events; change or delete that one")
    return _webhook(row)


async def get(connection: Connection, webhook_id: str) -> Webhook:
    """One webhook of this connection's tenant.

    Raises:
        NotFound: there is none with this id, or it was deleted.
    """
    row = await connection.fetchrow(
        f"SELECT {', '.join(_COLUMNS)} FROM webhooks WHERE webhook_id = $1 AND deleted_at IS NULL",  # noqa: S608 - our own columns
        webhook_id,
    )
    return _found(row, webhook_id)


class WebhookPosition(msgspec.Struct, frozen=True):
    """The last webhook of a page, after which the next page begins."""

    created_at: datetime
    webhook_id: str


class WebhookFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which webhooks to list; None leaves a field open. `event`: subscribed to it."""

    status: WebhookStatus | None = None
    url: str | None = None
    event: str | None = None


async def page(
    connection: Connection, wanted: WebhookFilter, *, after: WebhookPosition | None, limit: int
) -> tuple[list[Webhook], WebhookPosition | None]:
    """Webhooks of this connection's tenant, newest first; and where the next page begins, None after the last.

    Args:
        connection: sees one tenant.
        wanted: which of them.
        after: where the page begins; None for the first.
        limit: most webhooks of the page.
    """
    table = schema.webhooks.c
    query = (
        select(*(table[name] for name in _COLUMNS))
        .where(table.deleted_at.is_(None))
        .order_by(table.created_at.desc(), table.webhook_id.desc())
        .limit(limit + 1)
    )
    if wanted.status is not None:
        query = query.where(table.status == wanted.status)
    if wanted.url is not None:
        query = query.where(table.url == wanted.url)
    if wanted.event is not None:
        query = query.where(literal(wanted.event) == any_(table.events))
    if after is not None:
        query = query.where(tuple_(table.created_at, table.webhook_id) < (after.created_at, after.webhook_id))
    webhooks = [_webhook(row) for row in await fetch(connection, query)]
    if len(webhooks) <= limit:
        return webhooks, None
    last = webhooks[limit - 1]
    return webhooks[:limit], WebhookPosition(last.created_at, last.webhook_id)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a webhook; None leaves a field as it is."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    filters: Filters | None = None
    retry_policy: RetryPolicy | None = None
    status: WebhookStatus | None = None


async def update(connection: Connection, webhook_id: str, change: Change, *, now: datetime) -> Webhook:
    """Change a webhook. One that is made active, or goes elsewhere, starts anew: it is not failing, until it fails.

    Raises:
        NotFound: there is none with this id, or it was deleted.
        Conflict: another webhook has the same URL and events.
    """
    events, filters, policy = change.events, change.filters, change.retry_policy
    try:
        row = await connection.fetchrow(
            "UPDATE webhooks SET url = coalesce($2, url), events = coalesce($3, events),"  # noqa: S608 - our own columns
            " events_key = coalesce($4, events_key), filters = coalesce($5, filters),"
            " retry_policy = coalesce($6, retry_policy), status = coalesce($7, status),"
            " status_reason = CASE WHEN $7 IS NULL THEN status_reason END,"
            " failing_since = CASE WHEN url <> $2 OR $7 = 'active' AND status <> 'active' THEN NULL"
            "  ELSE failing_since END,"
            f" updated_at = $8 WHERE webhook_id = $1 AND deleted_at IS NULL {_RETURNING}",
            *(webhook_id, change.url, events, None if events is None else _events_key(events)),
            *(None if filters is None else _json(filters), None if policy is None else _json(policy)),
            *(change.status, now),
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict("Another webhook has the same URL and events; change or delete that one") from error
    return _found(row, webhook_id)


async def rotate(
    connection: Connection, webhook_id: str, secret: bytes, *, former_until: datetime | None, now: datetime
) -> Webhook:
    """Give a webhook another secret.

    Args:
        connection: a reader's that may write.
        webhook_id: which.
        secret: the new one, sealed.
        former_until: how long the one it takes the place of signs too; None: it is void at once.
        now: when it is changed.

    Raises:
        NotFound: there is none with this id, or it was deleted.
    """
    row = await connection.fetchrow(
        "UPDATE webhooks SET secret = $2, former_secret = CASE WHEN $3::timestamptz IS NOT NULL THEN secret END,"  # noqa: S608 - our own columns
        f" former_secret_until = $3, updated_at = $4 WHERE webhook_id = $1 AND deleted_at IS NULL {_RETURNING}",
        *(webhook_id, secret, former_until, now),
    )
    return _found(row, webhook_id)


async def note_validation(connection: Connection, webhook_id: str, at: datetime, *, is_success: bool) -> None:
    """Write down when a webhook was last tried by hand, and that it works; one deleted meanwhile is left alone."""
    await connection.execute(
        "UPDATE webhooks SET last_validated_at = $2, failing_since = CASE WHEN NOT $3 THEN failing_since END"
        " WHERE webhook_id = $1",
        *(webhook_id, at, is_success),
    )


async def delete(connection: Connection, webhook_id: str, *, now: datetime) -> Webhook:
    """Delete a webhook: nothing is sent to it any more. `retention.forget_deliveries` ends what was pending.

    Returns:
        The webhook as it was.

    Raises:
        NotFound: there is none with this id, or it was deleted before.
    """
    row = await connection.fetchrow(
        f"UPDATE webhooks SET deleted_at = $2 WHERE webhook_id = $1 AND deleted_at IS NULL {_RETURNING}",  # noqa: S608 - our own columns
        *(webhook_id, now),
    )
    return _found(row, webhook_id)


async def subscriptions(connection: Connection, tenant_ids: Sequence[int]) -> dict[int, list[Subscription]]:
    """Who wants to be told of what, by tenant; those that are not active too. A tenant without webhooks is left out."""
    rows = await connection.fetch(
        "SELECT webhook_id, tenant_id, courier, events, filters, status FROM webhooks"
        " WHERE tenant_id = ANY($1) AND deleted_at IS NULL ORDER BY webhook_id",
        tenant_ids,
    )
    found: dict[int, list[Subscription]] = {}
    for row in rows:
        subscription = Subscription(
            webhook_id=row["webhook_id"],
            tenant_id=row["tenant_id"],
            courier=row["courier"],
            events=frozenset(row["events"]),
            filters=_filters.decode(row["filters"]),
            status=WebhookStatus(row["status"]),
        )
        found.setdefault(subscription.tenant_id, []).append(subscription)
    return found


_filters = msgspec.json.Decoder(Filters)
retry_policies = msgspec.json.Decoder(RetryPolicy)
"""Reads the column `retry_policy`."""


def _events_key(events: Sequence[str]) -> str:
    """The same for the same events in whatever order."""
    return ",".join(sorted(events))


def _json(value: Filters | RetryPolicy) -> str:
    return msgspec.json.encode(value).decode()


def _found(row: Row | None, webhook_id: str) -> Webhook:
    if row is None:
        raise NotFound(f"No webhook {webhook_id}")
    return _webhook(row)


def _webhook(row: Row) -> Webhook:
    fields = {
        **row,
        "events": tuple(row["events"]),
        "filters": _filters.decode(row["filters"]),
        "retry_policy": retry_policies.decode(row["retry_policy"]),
        "status": WebhookStatus(row["status"]),
    }
    return Webhook(**fields)
