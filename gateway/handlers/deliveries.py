"""The delivery log, and what sends deliveries: samples, redelivery of one, recovery of all that did not arrive."""

from gateway import paths
from gateway.calls import Call
from gateway.handlers.executions import found
from gateway.middleware import idempotency
from gateway.wire import deliveries as wire
from gateway.wire import listings
from gateway.wire.webhooks import SendSample
from orchestrator import ids
from orchestrator.errors import Conflict, NotFound
from orchestrator.webhooks import messages
from orchestrator.webhooks.model import DeliveryStatus, WebhookStatus
from storage import deliveries, delivery_log, webhooks
from storage.deliveries import DeliveryRow, MessageRow
from storage.delivery_log import RECOVERED_AT_ONCE, DeliveryDetails, DeliveryFilter, DeliveryPosition
from storage.postgres import Connection


async def page(call: Call[None, wire.DeliveryQuery]) -> wire.DeliveryPage:
    """A webhook's deliveries, newest first."""
    webhook_id = paths.id_of(call.request, "webhookId")
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await webhooks.get(connection, webhook_id)
        return await _page(connection, call.query.of(webhook_id), call.query)


async def of_execution(call: Call[None, wire.ExecutionDeliveryQuery]) -> wire.DeliveryPage:
    """What an execution's events caused, at all webhooks, newest first."""
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        return await _page(connection, call.query.of(execution_id), call.query)


async def show(call: Call[None, None]) -> wire.DeliveryDetails:
    """One delivery: its body and every attempt."""
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        return wire.printed_whole(await _found(call, connection))


async def redeliver(call: Call[None, None]) -> wire.Delivery:
    """Send a delivery again, whatever became of it; its `webhook-id` stays the same."""
    marks, webhook_id = call.marks(), paths.id_of(call.request, "webhookId")
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:

        async def requeue() -> wire.Delivery:
            await _require_active(connection, webhook_id)
            delivery_id = (await _found(call, connection)).delivery.delivery_id
            return wire.printed(await delivery_log.requeue(connection, delivery_id, call.now))

        answer = await idempotency.once(connection, marks, wire.Delivery, requeue)
    await call.services.couriers.due(webhook_id)
    return answer


async def sample(call: Call[SendSample, None]) -> wire.Delivery:
    """Deliver an example of an event, which it need not be subscribed to."""
    marks, webhook_id, event = call.marks(), paths.id_of(call.request, "webhookId"), call.body.event
    delivery = DeliveryRow(
        delivery_id=ids.new_id("dlv", call.now),
        tenant_id=call.principal.tenant_id,
        webhook_id=webhook_id,
        message_id=ids.new_id("msg", call.now),
        event=event,
        execution_id=None,
        status=DeliveryStatus.PENDING,
        created_at=call.now,
    )
    body = messages.sample(event, call.now)
    message = MessageRow(delivery.message_id, delivery.tenant_id, event, None, body, call.now)
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:

        async def queue() -> wire.Delivery:
            await _require_active(connection, webhook_id)
            await deliveries.sample(connection, message, delivery)
            return wire.printed((await delivery_log.get(connection, delivery.delivery_id)).delivery)

        answer = await idempotency.once(connection, marks, wire.Delivery, queue)
    await call.services.couriers.due(webhook_id)
    return answer


async def recover(call: Call[wire.Recover, None]) -> wire.Recovered:
    """Send again all that failed or was missed since a time, oldest first."""
    marks, webhook_id, tenant_id = call.marks(), paths.id_of(call.request, "webhookId"), call.principal.tenant_id
    async with call.services.reader.tenant(tenant_id) as connection:
        answer = await idempotency.recall(connection, marks, wire.Recovered)
        if answer is None:
            await _require_active(connection, webhook_id)
    if answer is None:
        answer = wire.Recovered(await _recover(call, webhook_id))
        async with call.services.reader.tenant(tenant_id, write=True) as connection:
            await idempotency.keep(connection, marks, answer)
    return answer


async def _recover(call: Call[wire.Recover, None], webhook_id: str) -> int:
    """Queue so many at a time that no transaction is long, and the first are under way while the last are queued."""
    queued, last = 0, RECOVERED_AT_ONCE
    while last == RECOVERED_AT_ONCE:
        async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
            last = await delivery_log.recover(connection, webhook_id, since=call.body.since, now=call.now)
        queued += last
        await call.services.couriers.due(webhook_id)
    return queued


async def _page(
    connection: Connection, wanted: DeliveryFilter, query: wire.DeliveryQuery | wire.ExecutionDeliveryQuery
) -> wire.DeliveryPage:
    after = listings.position_of(query.cursor, DeliveryPosition)
    listed, end = await delivery_log.page(connection, wanted, after=after, limit=query.limit)
    return wire.DeliveryPage([wire.printed(one) for one in listed], listings.cursor_of(end))


async def _found(call: Call[None, None], connection: Connection) -> DeliveryDetails:
    """The delivery that a path names.

    Raises:
        NotFound: there is none, or it is another webhook's.
    """
    webhook_id, delivery_id = paths.id_of(call.request, "webhookId"), paths.id_of(call.request, "deliveryId")
    await webhooks.get(connection, webhook_id)
    details = await delivery_log.get(connection, delivery_id)
    if details.delivery.webhook_id != webhook_id:
        raise NotFound(f"No delivery {delivery_id} of {webhook_id}")
    return details


async def _require_active(connection: Connection, webhook_id: str) -> None:
    """Refuse to queue what would rest for an unknown time.

    Raises:
        NotFound: there is no such webhook.
        Conflict: it is paused or disabled.
    """
    status = (await webhooks.get(connection, webhook_id)).status
    if status is not WebhookStatus.ACTIVE:
        raise Conflict(f"{webhook_id} is {status}; set its status to active first")
