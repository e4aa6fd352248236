"""Webhooks of the caller's tenant: register, list, look, change, delete, try, rotate (X-031 to X-042)."""

import hmac
import secrets
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from gateway import paths
from gateway.calls import Call
from gateway.middleware import idempotency
from gateway.middleware.idempotency import Marks
from gateway.wire import listings
from gateway.wire import webhooks as wire
from orchestrator import ids
from orchestrator.errors import AddressRefused, FieldError, Unavailable, ValidationFailed
from orchestrator.timestamps import to_text
from orchestrator.webhooks import signature
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import SHORTEST_SECRET, Filters, RetryPolicy, Webhook, WebhookStatus
from orchestrator.webhooks.sealing import NONCE_BYTES, Sealer
from storage import webhooks
from storage.webhooks import Change, WebhookFilter, WebhookPosition

log = structlog.get_logger(__name__)


async def create(call: Call[wire.CreateWebhook, None]) -> wire.WebhookCreated:
    """Register a webhook; a secret that is made here is shown this once, and again to the same `Idempotency-Key`."""
    body, marks = call.body, call.marks()
    url, secret = _allowed(call, body.url), _secret(call, marks, body.secret)
    webhook_id = ids.new_id("wh", call.now)
    webhook = Webhook(
        webhook_id=webhook_id,
        tenant_id=call.principal.tenant_id,
        courier=call.services.couriers.of(webhook_id),
        url=url,
        events=tuple(dict.fromkeys(body.events)),
        filters=body.filters.settled() if body.filters else Filters(),
        retry_policy=body.retry_policy.settled() if body.retry_policy else RetryPolicy(),
        status=WebhookStatus.INACTIVE if body.active is False else WebhookStatus.ACTIVE,
        status_reason=None,
        created_at=call.now,
        updated_at=call.now,
        failing_since=None,
        last_validated_at=None,
        former_secret_until=None,
    )

    async def register() -> wire.WebhookCreated:
        return wire.created(await webhooks.create(connection, webhook, _sealed(call, webhook_id, secret)))

    async with call.services.reader.tenant(webhook.tenant_id, write=True) as connection:
        answer = await idempotency.once(connection, marks, wire.WebhookCreated, register)
    await call.services.couriers.due(answer.webhook_id)
    return answer if body.secret else msgspec.structs.replace(answer, secret=secret)


async def page(call: Call[None, wire.WebhookQuery]) -> wire.WebhookPage:
    """The tenant's webhooks, newest first (X-042)."""
    query = call.query
    wanted = WebhookFilter(status=query.status, url=query.url, event=query.event)
    after = listings.position_of(query.cursor, WebhookPosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await webhooks.page(connection, wanted, after=after, limit=query.limit)
    return wire.WebhookPage([wire.printed(one, call.now) for one in listed], listings.cursor_of(end))


async def show(call: Call[None, None]) -> wire.Webhook:
    """One webhook as it stands."""
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        return wire.printed(await webhooks.get(connection, paths.id_of(call.request, "webhookId")), call.now)


async def change(call: Call[wire.ChangeWebhook, None]) -> wire.Webhook:
    """Change a webhook; what is recorded from now on is for the changed one."""
    body, webhook_id = call.body, paths.id_of(call.request, "webhookId")
    wanted = Change(
        url=None if body.url is None else _allowed(call, body.url),
        events=None if body.events is None else tuple(dict.fromkeys(body.events)),
        filters=None if body.filters is None else body.filters.settled(),
        retry_policy=None if body.retry_policy is None else body.retry_policy.settled(),
        status=_status(body),
    )
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        webhook = await webhooks.update(connection, webhook_id, wanted, now=call.now)
    await _tell_courier(call, webhook_id)
    return wire.printed(webhook, call.now)


async def delete(call: Call[None, None]) -> wire.WebhookDeleted:
    """End a webhook: nothing is sent to it any more (X-042)."""
    webhook_id = paths.id_of(call.request, "webhookId")
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        await webhooks.delete(connection, webhook_id, now=call.now)
    await _tell_courier(call, webhook_id)
    return wire.WebhookDeleted(webhook_id=webhook_id, deleted_at=to_text(call.now))


async def rotate_secret(call: Call[wire.RotateSecret | None, None]) -> wire.SecretRotated:
    """Give a webhook another secret; the former one signs as well for a while."""
    body, marks, webhook_id = call.body or wire.RotateSecret(), call.marks(), paths.id_of(call.request, "webhookId")
    secret = _secret(call, marks, body.secret)
    former_until = call.now + timedelta(seconds=body.overlap_seconds) if body.overlap_seconds else None

    async def rotate() -> wire.SecretRotated:
        sealed = _sealed(call, webhook_id, secret)
        return wire.rotated(
            await webhooks.rotate(connection, webhook_id, sealed, former_until=former_until, now=call.now)
        )

    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        answer = await idempotency.once(connection, marks, wire.SecretRotated, rotate)
    await _tell_courier(call, webhook_id)
    return answer if body.secret else msgspec.structs.replace(answer, secret=secret)


async def validate(call: Call[None, None]) -> wire.Validation:
    """Send a test request at once, and tell what came of it (X-039, X-040)."""
    marks, webhook_id, tenant_id = call.marks(), paths.id_of(call.request, "webhookId"), call.principal.tenant_id
    async with call.services.reader.tenant(tenant_id) as connection:
        answer = await idempotency.recall(connection, marks, wire.Validation)
        if answer is not None:
            return answer
        await webhooks.get(connection, webhook_id)
    outcome = await call.services.couriers.validate(webhook_id)
    answer = wire.validation(webhook_id, outcome)
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        await webhooks.note_validation(connection, webhook_id, outcome.at, is_success=outcome.is_success)
        await idempotency.keep(connection, marks, answer)
    return answer


async def _tell_courier(call: Call[Any, None], webhook_id: str) -> None:
    """Have what is sent from now on be as was committed.

    That is done whoever hears of it, so that the answer is no error where the courier is away: it reads the webhook
    when it is back.
    """
    try:
        await call.services.couriers.changed(webhook_id)
    except Unavailable as error:
        log.warning("courier was not told of a change", webhook_id=webhook_id, error=error.message)


def _status(body: wire.ChangeWebhook) -> WebhookStatus | None:
    """What `status` or `active` asks for."""
    by_flag = None if body.active is None else "active" if body.active else "inactive"
    if None not in (body.status, by_flag) and body.status != by_flag:
        raise ValidationFailed(FieldError("active", "Must not contradict status"))
    wanted = body.status or by_flag
    return None if wanted is None else WebhookStatus(wanted)


def _allowed(call: Call[Any, None], url: str) -> str:
    """The URL as it is to be requested.

    Raises:
        ValidationFailed: webhooks may not go there (X-037, X-095).
    """
    settings = call.services.settings
    try:
        return Policy(settings.webhook_allow, settings.webhook_ports).check_url(url)
    except AddressRefused as error:
        raise ValidationFailed(FieldError("url", error.message)) from None


def _secret(call: Call[Any, None], marks: Marks, given: str | None) -> str:
    """The secret that was given, or a new one: that of the request, so that it need not be kept to be told again.

    Raises:
        ValidationFailed: the given one cannot sign anything, or not well.
    """
    if given is None:
        purpose = f"webhook-secret\0{marks.command_id}".encode()
        return signature.secret_of(hmac.digest(call.services.secret_key, purpose, "sha256"))
    if len(signature.key_of(given)) < SHORTEST_SECRET:
        message = f"Must be base64 of at least {SHORTEST_SECRET} bytes after {signature.PREFIX}"
        raise ValidationFailed(FieldError("secret", message))
    return given


def _sealed(call: Call[Any, None], webhook_id: str, secret: str) -> bytes:
    return Sealer(call.services.secret_key).seal(secret, webhook_id, secrets.token_bytes(NONCE_BYTES))
