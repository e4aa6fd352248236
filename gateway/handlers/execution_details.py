"""What belongs to one execution: its tests, and its history."""

from gateway import paths
from gateway.calls import Call
from gateway.handlers.executions import found
from gateway.wire import listings
from orchestrator.errors import FieldError, ValidationFailed
from storage import executions
from storage.executions import TestFilter, TestPosition, TestSort


async def tests(call: Call[None, listings.TestQuery]) -> listings.TestPage:
    """Single tests, of the current submissions or of all."""
    execution_id, query = paths.execution_id_of(call.request), call.query
    wanted = TestFilter(
        shard=query.shard,
        status=query.status,
        flaky=query.flaky,
        title=query.title,
        file=query.file,
        search=query.search,
        all_attempts=query.attempts == "all",
        sort=query.sort,
    )
    after = listings.position_of(query.cursor, TestPosition)
    if after is not None and (after.duration is None) is (query.sort is TestSort.DURATION):
        raise ValidationFailed(FieldError("cursor", "Must be a nextCursor of a list with the same sort"))
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        records, end = await executions.tests(connection, execution_id, wanted, after=after, limit=query.limit)
    return listings.TestPage([listings.test(record) for record in records], listings.cursor_of(end))


async def events(call: Call[None, listings.EventQuery]) -> listings.EventPage:
    """What happened, in order."""
    execution_id, query = paths.execution_id_of(call.request), call.query
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
        records = await executions.events(connection, execution_id, after=query.after, limit=query.limit)
    newest = max(execution.seq, *(record.seq for record in records), 0)
    return listings.EventPage([listings.event(execution_id, record) for record in records], newest)
