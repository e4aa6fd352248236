"""What an event tells the outside: the `data` of webhooks and live frames as documented (X-066 to X-072)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from orchestrator.executions import links
from orchestrator.executions.events import (
    AnyEvent,
    Cancelled,
    Completed,
    Created,
    Failed,
    Leased,
    PlanCreated,
    Progressed,
    Released,
    ShardEnded,
    ShardStarted,
    Started,
    Streamed,
)
from orchestrator.executions.model import Execution, Totals
from orchestrator.executions.plan import Lease, Plan, open_places
from orchestrator.timestamps import to_text, to_text_or_none

Json = dict[str, Any]

FAILED_TESTS = 100
"""How many failed tests `execution.completed` lists at the most; the rest are behind its `reportUrl`."""


class FailedTest(msgspec.Struct, frozen=True):
    """A failed test as `execution.completed` lists it (X-070)."""

    title: str
    file: str | None
    error: str | None
    shard: str


def data(  # noqa: C901, PLR0911 - one case an event
    execution: Execution, event: AnyEvent, failed_tests: Sequence[FailedTest] = ()
) -> Json:
    """The `data` of an event.

    Args:
        execution: as it stands after the event.
        event: the event.
        failed_tests: of the current submissions; read by the caller for `execution.completed` alone.
    """
    match event:
        case Created():
            return _created(execution)
        case Started():
            return _started(execution)
        case Progressed():
            return _progressed(execution, event)
        case PlanCreated():
            return _plan_created(event.plan)
        case Leased():
            return _leased(execution, event.lease)
        case Released():
            return _released(execution, event)
        case Streamed():
            return _streamed(execution, event)
        case ShardStarted():
            return {"shardId": event.shard_id, "status": "running", "startedAt": to_text(event.at)}
        case ShardEnded():
            return _shard_ended(execution, event)
        case Completed():
            return _completed(execution, event, failed_tests)
        case Failed():
            return _failed(execution, event)
        case Cancelled():
            return {
                "status": execution.status,
                "cancelledAt": to_text(event.at),
                "reason": event.reason,
                "reasonCode": event.reason_code,
                "results": totals(execution.totals),
            }


def totals(value: Totals) -> Json:
    """Counters as printed."""
    return msgspec.structs.asdict(value)


def shard_results(execution: Execution) -> list[Json]:
    """The `shardResults` of an execution (X-022)."""
    return [
        {
            "shardId": shard.shard_id,
            "status": shard.status,
            "results": totals(shard.totals),
            **_shard_plan(execution, shard.shard_id),
        }
        for shard in execution.shards
    ]


def progress(execution: Execution) -> Json:
    """The `progress` of an execution (X-020)."""
    return {
        "startedAt": to_text_or_none(execution.started_at),
        "completedAt": to_text_or_none(execution.ended_at),
        "duration": execution.duration_ms,
        "shardsCompleted": execution.shards_ended,
        "totalShards": len(execution.shards),
    }


def _plan(execution: Execution) -> Json:
    configuration = execution.configuration
    return {
        "shards": configuration.shards,
        "browsers": list(configuration.browsers),
        "parallel": configuration.parallel,
    }


def _metadata(execution: Execution) -> msgspec.Raw | None:
    return None if execution.metadata is None else msgspec.Raw(execution.metadata.encode())


def _started(execution: Execution) -> Json:
    return {
        "testSuite": execution.test_suite,
        "environment": execution.environment,
        "provider": execution.provider,
        "configuration": _plan(execution),
        "metadata": _metadata(execution),
    }


def _created(execution: Execution) -> Json:
    return {"status": execution.status, "triggerSource": execution.trigger_source, **_started(execution)}


def _progressed(execution: Execution, event: Progressed) -> Json:
    report = None if event.report is None else msgspec.Raw(event.report.encode())
    return {
        "status": execution.status,
        "progress": progress(execution),
        "results": totals(execution.totals),
        "reported": report,
    }


def _shard_ended(execution: Execution, event: ShardEnded) -> Json:
    report = links.shard_report(execution.base_url, execution.execution_id, event.shard_id)
    return {
        "shardId": event.shard_id,
        "status": event.status,
        "results": totals(event.totals),
        "duration": event.duration_ms,
        "artifacts": {"reportUrl": report},
        **({} if event.reason is None else {"reason": event.reason}),
        **_shard_plan(execution, event.shard_id, "shardPlan"),
    }


def _plan_created(plan: Plan) -> Json:
    return {
        "mode": plan.mode,
        "tests": plan.tests,
        "units": len(plan.units),
        "knownTests": plan.known_tests,
        "expectedDuration": round(plan.expected_ms),
    }


def _lease(lease: Lease) -> Json:
    return {"leaseId": lease_id(lease.number), "runnerId": lease.runner_id, "attempt": lease.attempt}


def lease_id(number: int) -> str:
    """A lease as runners name it."""
    return f"lease_{number}"


def _leased(execution: Execution, lease: Lease) -> Json:
    units = [] if execution.plan is None else [execution.plan.units[unit] for unit in lease.units]
    expected_ms = sum(unit.expected_ms for unit in units)
    return {
        "shardId": str(lease.shard),
        **_lease(lease),
        "tests": _open_tests(execution, lease),
        "expectedDuration": round(expected_ms),
        **_shard_plan(execution, str(lease.shard), "shardPlan"),
    }


def _released(execution: Execution, event: Released) -> Json:
    lease = event.lease
    printed = {"shardId": str(lease.shard), **_lease(lease), "reason": event.why}
    return {
        **printed,
        "returned": _open_tests(execution, lease),
        **_shard_plan(execution, str(lease.shard), "shardPlan"),
        **_plan_state(execution),
    }


def _open_tests(execution: Execution, lease: Lease) -> int:
    if execution.plan is None or execution.deal is None:
        return 0
    return len(open_places(execution.plan, execution.deal, lease.units))


def _streamed(execution: Execution, event: Streamed) -> Json:
    shard = execution.shards[int(event.shard_id) - 1]
    return {
        "shardId": shard.shard_id,
        "status": shard.status,
        "results": totals(shard.totals),
        **_shard_plan(execution, shard.shard_id, "shardPlan"),
        **_plan_state(execution),
    }


def _plan_state(execution: Execution) -> Json:
    """How far the plan is worked off; nothing for an execution without one."""
    deal = execution.deal
    if deal is None:
        return {}
    return {
        "plan": {
            "mode": deal.mode,
            "planned": deal.planned,
            "reported": deal.reported.bit_count(),
            "missing": execution.missing_tests,
            "unexpected": len(deal.unexpected),
        }
    }


def _shard_plan(execution: Execution, shard_id: str, name: str = "plan") -> Json:
    """What a shard has of the plan, under this name; nothing for an execution without one."""
    if execution.deal is None:
        return {}
    mine = execution.deal.shards[int(shard_id) - 1]
    return {
        name: {
            "planned": mine.planned,
            "reported": mine.reported,
            "missing": mine.missing,
            "unexpected": mine.unexpected,
        }
    }


def _completed(execution: Execution, event: Completed, failed_tests: Sequence[FailedTest]) -> Json:
    printed: Json = {
        "status": execution.status,
        "results": totals(execution.totals),
        "duration": execution.duration_ms,
        "shardResults": shard_results(execution),
        "artifacts": links.of(execution),
        "failedTests": [msgspec.structs.asdict(test) for test in failed_tests],
        **_plan_state(execution),
    }
    if event.reason_code is not None:
        printed |= {"reason": event.reason, "reasonCode": event.reason_code, "lostShards": event.lost}
    return printed


def _failed(execution: Execution, event: Failed) -> Json:
    return {
        "status": execution.status,
        "reason": event.reason,
        "reasonCode": event.reason_code,
        "lostShards": event.lost,
        "missingShards": event.missing,
        "results": totals(execution.totals),
        "duration": execution.duration_ms,
        "shardResults": shard_results(execution),
        "artifacts": links.of(execution),
        **_plan_state(execution),
    }


def frame(execution_id: str, seq: int, name: str, at: datetime, data_text: str) -> bytes:
    """The `event` frame of the live protocol, the same bytes whether it comes from the owner or from the log.

    Args:
        execution_id: whose event it is.
        seq: its number.
        name: its documented name.
        at: its time.
        data_text: its `data` as JSON text.
    """
    return (
        f'{{"type":"event","seq":{seq},"event":"{name}","executionId":"{execution_id}",'
        f'"timestamp":"{to_text(at)}","data":{data_text}}}'
    ).encode()
