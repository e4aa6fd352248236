"""Plans: make one, look at it, list its tests (docs/runners.md)."""

import asyncio
from collections.abc import Container, Iterable, Sequence
from itertools import islice

import msgspec

from gateway import paths
from gateway.calls import Call
from gateway.handlers.executions import found, found_shard
from gateway.manifests import MANIFESTS, Manifest
from gateway.wire import executions as printing
from gateway.wire import listings
from gateway.wire import plans as wire
from orchestrator import ids
from orchestrator.errors import Conflict, FieldError, ValidationFailed
from orchestrator.executions import planning, source
from orchestrator.executions.commands import MakePlan
from orchestrator.executions.model import Execution, TestStatus
from orchestrator.executions.plan import Deal, Plan, PlanMode
from orchestrator.executions.planning import Known, PlannedTest, Rules, UnitOrder
from orchestrator.history.estimates import expected
from orchestrator.history.model import Past, test_id
from orchestrator.timestamps import to_text
from storage import executions, history, plans
from storage.executions import TestFilter, TestPosition
from storage.plans import ManifestPosition
from storage.postgres import Connection

MOST_NAMED = 100
_PAGE = 1000


async def make(call: Call[wire.MakePlan, None]) -> wire.ExecutionPlan:
    """Settle which tests are run. The first plan is frozen; who comes later is told how its manifest differs."""
    execution_id, tenant_id = paths.execution_id_of(call.request), call.principal.tenant_id
    tests = await asyncio.to_thread(_distinct, call.body.tests)
    async with call.services.reader.tenant(tenant_id) as connection:
        execution = await found(connection, execution_id)
        chosen = await _chosen(connection, call.body.rerun_of, tests) if execution.deal is None else []
        known = await _known(connection, execution, chosen)
    is_mine = False
    if execution.deal is None:
        drawn = await asyncio.to_thread(planning.draw, chosen, known, _rules(call.body, execution), call.now)
        receipt = await call.services.mailbox.send(
            MakePlan(
                command_id=ids.new_id("cmd", call.now),
                tenant_id=tenant_id,
                execution_id=execution_id,
                plan=drawn.plan,
                manifest=await asyncio.to_thread(plans.pack, drawn.manifest, call.body.rerun_of),
            )
        )
        is_mine = receipt.applied
    manifest = await call.request.config_dict[MANIFESTS].of(tenant_id, execution_id)
    async with call.services.reader.tenant(tenant_id) as connection:
        printed = await _plan(connection, execution, manifest)
        if is_mine:
            return wire.PlanMade(**msgspec.structs.asdict(printed))
        wanted = None if manifest.rerun_of is None else await _to_be_rerun(connection, manifest.rerun_of) or ()
    differs = await asyncio.to_thread(_differences, manifest, tests, wanted)
    return msgspec.structs.replace(printed, differs=differs)


async def show(call: Call[None, None]) -> wire.ExecutionPlan:
    """The plan of an execution, and how far it is worked off."""
    execution_id, tenant_id = paths.execution_id_of(call.request), call.principal.tenant_id
    async with call.services.reader.tenant(tenant_id) as connection:
        execution = await found(connection, execution_id)
    manifest = await call.request.config_dict[MANIFESTS].of(tenant_id, execution_id)
    async with call.services.reader.tenant(tenant_id) as connection:
        printed = await _plan(connection, execution, manifest)
    return msgspec.structs.replace(printed, completeness=printing.printed_plan(execution) or None)


async def tests(call: Call[None, wire.PlannedTestQuery]) -> wire.PlannedTestPage:
    """Planned tests, each with what has become of it."""
    execution_id, query = paths.execution_id_of(call.request), call.query
    after = listings.position_of(query.cursor, ManifestPosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
        found_plans = await plans.load(connection, [execution_id])
    if execution_id not in found_plans:
        raise Conflict(f"{execution_id} has no plan; PUT one to its /plan first")
    manifest = await call.request.config_dict[MANIFESTS].of(call.principal.tenant_id, execution_id)
    shard = None if query.shard_id is None else found_shard(execution, query.shard_id).shard_id
    deal = execution.deal
    if deal is None:
        raise LookupError("a manifest without a deal")
    states = _states(execution, found_plans[execution_id], deal, manifest, 0 if after is None else after.place + 1)
    wanted = (
        (place, state)
        for place, state in states
        if query.state in (None, state.state) and shard in (None, state.shard_id)
    )
    page = await asyncio.to_thread(lambda: list(islice(wanted, query.limit + 1)))
    end = ManifestPosition(page[query.limit - 1][0]) if len(page) > query.limit else None
    return wire.PlannedTestPage([state for _, state in page[: query.limit]], listings.cursor_of(end))


def _distinct(tests: Sequence[wire.ManifestTest]) -> list[PlannedTest]:
    """The tests of a manifest.

    Raises:
        ValidationFailed: one is there twice.
    """
    seen: set[tuple[str, str]] = set()
    distinct = []
    for index, test in enumerate(tests):
        if (test.file, test.title) in seen:
            raise ValidationFailed(FieldError(f"tests[{index}]", f"{test.file}: {test.title} is there already"))
        seen.add((test.file, test.title))
        distinct.append(PlannedTest(test.file, test.title, test.id, tuple(test.labels or ())))
    return distinct


def _rules(body: wire.MakePlan, execution: Execution) -> Rules:
    return Rules(
        mode=body.mode,
        shards=len(execution.shards),
        order=body.order or UnitOrder.DURATION,
        split_files=body.split_files is not False,
        sizes=body.sizes or {},
    )


async def _known(connection: Connection, execution: Execution, tests: Sequence[PlannedTest]) -> list[Known]:
    """What is known of each test from former executions of the suite: on this branch, else on the main one."""
    test_ids = await asyncio.to_thread(lambda: [test_id(test.file, test.title) for test in tests])
    tested = source.of(execution.metadata)
    branches = dict.fromkeys((tested.branch or "", *tested.main_branches, ""))
    past = await history.past(connection, execution.test_suite, list(branches), test_ids)
    quarantined = await history.quarantined(connection, test_ids)
    nothing = Past((), last_failed=False)
    return [
        Known(expected(found), found.last_failed, one in quarantined)
        for one in test_ids
        for found in (past.get(one, nothing),)
    ]


async def _chosen(connection: Connection, rerun_of: str | None, tests: Sequence[PlannedTest]) -> Sequence[PlannedTest]:
    """The tests to be run: all, or those that failed or were not reported in an earlier execution.

    Raises:
        ValidationFailed: there is no such execution.
        Conflict: none is left.
    """
    if rerun_of is None:
        return tests
    wanted = await _to_be_rerun(connection, rerun_of)
    if wanted is None:
        raise ValidationFailed(FieldError("rerunOf", f"No execution {rerun_of}"))
    chosen = [test for test in tests if (test.file, test.title) in wanted]
    if not chosen:
        raise Conflict(f"None of these tests failed or is missing in {rerun_of}: nothing to run again")
    return chosen


async def _to_be_rerun(connection: Connection, rerun_of: str) -> set[tuple[str, str]] | None:
    """The tests that failed or were not reported in an execution, by file and title; None without such an execution."""
    former = (await executions.load(connection, [rerun_of])).get(rerun_of)
    if former is None:
        return None
    return await _failed(connection, rerun_of) | await _unreported(connection, former)


async def _failed(connection: Connection, execution_id: str) -> set[tuple[str, str]]:
    names: set[tuple[str, str]] = set()
    after: TestPosition | None = None
    while True:
        only_failed = TestFilter(status=TestStatus.FAILED)
        page, after = await executions.tests(connection, execution_id, only_failed, after=after, limit=_PAGE)
        names |= {(test.file or "", test.title) for test in page}
        if after is None:
            return names


async def _unreported(connection: Connection, execution: Execution) -> set[tuple[str, str]]:
    packed = await plans.packed(connection, execution.execution_id)
    if packed is None or execution.deal is None:
        return set()
    reported = execution.deal.reported
    planned = await asyncio.to_thread(plans.unpack, packed.tests)
    return {(test.file, test.title) for place, test in enumerate(planned) if not reported >> place & 1}


async def _plan(connection: Connection, execution: Execution, manifest: Manifest) -> wire.ExecutionPlan:
    """The plan of an execution as it is printed.

    Raises:
        Conflict: it has none.
    """
    plan = (await plans.load(connection, [execution.execution_id])).get(execution.execution_id)
    if plan is None:
        raise Conflict(f"{execution.execution_id} has no plan; PUT one to its /plan first")
    is_static = plan.mode is PlanMode.STATIC
    return wire.ExecutionPlan(
        execution_id=execution.execution_id,
        mode=plan.mode,
        created_at=to_text(plan.created_at),
        tests=plan.tests,
        units=len(plan.units),
        known_tests=plan.known_tests,
        expected_duration=round(plan.expected_ms),
        shards=[
            wire.ShardPlan(
                shard_id=str(shard),
                expected_duration=round(expected_ms),
                tests=tests,
                units=len(plan.units_of(shard)) if is_static else 0,
            )
            for shard, (expected_ms, tests) in enumerate(zip(plan.shard_ms, plan.planned(), strict=True), 1)
        ],
        quarantined=[wire.TestName(test.file, test.title) for test in manifest.quarantined],
    )


def _differences(
    manifest: Manifest, tests: Sequence[PlannedTest], wanted: Container[tuple[str, str]] | None
) -> wire.Differences | None:
    """How an asker's tests differ from the planned ones; None where they do not.

    Args:
        manifest: of the plan.
        tests: of the asker.
        wanted: of a rerun, those that are run again, for it leaves out the others on purpose.
    """
    outside = [test for test in tests if not manifest.has(test.file, test.title)]
    missing: list[PlannedTest] = []
    if len(tests) - len(outside) < len(manifest.tests):
        mine = {(test.file, test.title) for test in tests}
        missing = [test for test in manifest.tests if (test.file, test.title) not in mine]
    unexpected = [test for test in outside if wanted is None or (test.file, test.title) in wanted]
    if not (missing or unexpected):
        return None
    return wire.Differences(
        missing=len(missing),
        unexpected=len(unexpected),
        missing_tests=[wire.TestName(test.file, test.title) for test in missing[:MOST_NAMED]],
        unexpected_tests=[wire.TestName(test.file, test.title) for test in unexpected[:MOST_NAMED]],
    )


def _states(
    execution: Execution, plan: Plan, deal: Deal, manifest: Manifest, first: int
) -> Iterable[tuple[int, wire.PlannedState]]:
    """The planned tests from a place on, each with its place."""
    claimed = {unit: str(lease.shard) for lease in deal.leases for unit in lease.units}
    shards: dict[int, str] = {}
    if plan.mode is PlanMode.STATIC:
        shards = {unit: str(shard) for shard in range(1, len(deal.shards) + 1) for unit in plan.units_of(shard)}
    for number, unit in enumerate(plan.units):
        for place in range(max(first, unit.first), unit.first + unit.tests):
            test = manifest.tests[place]
            state: wire.TestState
            if deal.reported >> place & 1:
                state = "reported"
            elif deal.missing >> place & 1 or execution.is_finished:
                state = "missing"
            else:
                state = "claimed" if number in claimed else "waiting"
            yield (
                place,
                wire.PlannedState(
                    file=test.file,
                    title=test.title,
                    state=state,
                    expected_duration=test.expected_ms or 0.0,
                    id=test.name,
                    labels=test.labels,
                    shard_id=shards.get(number) or claimed.get(number),
                    quarantined=test.quarantined,
                ),
            )
