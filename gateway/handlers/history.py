"""Tests and suites over executions: lists, one test, its runs."""

from gateway import paths
from gateway.calls import Call
from gateway.wire import history as wire
from gateway.wire import listings, quarantine
from orchestrator.errors import FieldError, ValidationFailed
from storage import known_tests, quarantines, suites
from storage.known_tests import KnownTestPosition, RunPosition
from storage.suites import SuitePosition


async def page(call: Call[None, wire.KnownTestQuery]) -> wire.KnownTestPage:
    """The caller's tests, in the order asked for."""
    query = call.query
    if query.branch is not None and query.test_suite is None:
        raise ValidationFailed(FieldError("testSuite", "Required with a branch"))
    after = listings.position_of(query.cursor, KnownTestPosition)
    if after is not None and after.order is not query.order:
        raise ValidationFailed(FieldError("cursor", "Must be a nextCursor of a list with the same sort"))
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await known_tests.page(connection, query.wanted(), query.order, after=after, limit=query.limit)
    return wire.KnownTestPage([wire.printed(one) for one in listed], listings.cursor_of(end))


async def show(call: Call[None, None]) -> wire.KnownTestDetails:
    """One test with its latest runs in short."""
    test_id = paths.id_of(call.request, "testId")
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        test = await known_tests.get(connection, test_id)
        active = (await quarantines.of_tests(connection, [test_id], call.now)).get(test_id)
    return wire.printed_whole(test, None if active is None else quarantine.printed(active))


async def runs(call: Call[None, wire.TestHistoryQuery]) -> wire.TestHistory:
    """Every run of a test, newest first."""
    query = call.query
    after = listings.position_of(query.cursor, RunPosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        test = await known_tests.get(connection, paths.id_of(call.request, "testId"))
        listed, end = await known_tests.runs(connection, test, branch=query.branch, after=after, limit=query.limit)
    return wire.TestHistory(
        test_id=test.test_id,
        title=test.title,
        file=test.file,
        runs=[wire.run(one) for one in listed],
        next_cursor=listings.cursor_of(end),
    )


async def suite_page(call: Call[None, wire.SuiteQuery]) -> wire.SuitePage:
    """Suites and their branches, each with its latest executions."""
    query = call.query
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await suites.page(
            connection,
            test_suite=query.test_suite,
            branch=query.branch,
            points=query.points,
            after=listings.position_of(query.cursor, SuitePosition),
            limit=query.limit,
        )
    return wire.SuitePage([wire.suite(one) for one in listed], listings.cursor_of(end))
