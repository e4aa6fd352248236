"""Quarantine: put tests into it, take them out, list them."""

from gateway import paths
from gateway.calls import Call
from gateway.wire import listings
from gateway.wire import quarantine as wire
from orchestrator.errors import FieldError, ValidationFailed
from storage import quarantines
from storage.quarantines import QuarantinePosition


async def put(call: Call[wire.PutQuarantine, None]) -> wire.Quarantine:
    """Put a test into quarantine, or change the terms on which it is there."""
    test_id, terms, tenant_id = paths.id_of(call.request, "testId"), call.body.terms(), call.principal.tenant_id
    if terms.expires_at <= call.now:
        raise ValidationFailed(FieldError("expiresAt", "Must be in the future"))
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        return wire.printed(await quarantines.put(connection, tenant_id, test_id, terms, call.now))


async def remove(call: Call[None, None]) -> wire.Quarantine:
    """Take a test out of quarantine."""
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        return wire.printed(await quarantines.remove(connection, paths.id_of(call.request, "testId"), call.now))


async def page(call: Call[None, wire.QuarantineQuery]) -> wire.QuarantinePage:
    """Quarantines that last, or that ended, newest first."""
    query = call.query
    after = listings.position_of(query.cursor, QuarantinePosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await quarantines.page(
            connection, active=query.state == "active", now=call.now, after=after, limit=query.limit
        )
    return wire.QuarantinePage([wire.printed(one) for one in listed], listings.cursor_of(end))
