"""Claims: tests for a runner, under a lease that it keeps alive or hands back (docs/runners.md)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway import paths
from gateway.calls import Call
from gateway.manifests import MANIFESTS
from gateway.wire import plans as wire
from orchestrator import ids
from orchestrator.errors import FieldError, NotFound, ValidationFailed
from orchestrator.executions.commands import Beat, Claim, ClaimState, HandBack, Order
from orchestrator.executions.payloads import lease_id
from orchestrator.executions.planning import PlannedTest
from orchestrator.timestamps import to_text

_LEASE = re.compile(r"lease_([1-9]\d{0,17})")


async def claim(call: Call[wire.ClaimTests, None]) -> wire.ClaimAnswer:
    """Tests to run; asked again, a runner gets what it has."""
    body, services = call.body, call.services
    execution_id = paths.execution_id_of(call.request)
    done = None if body.done is None else number_of(body.done)
    if body.done is not None and done is None:
        raise ValidationFailed(FieldError("done", "Must be a leaseId that a claim gave"))
    receipt = await services.mailbox.send(
        Claim(
            command_id=ids.new_id("cmd", call.now),
            tenant_id=call.principal.tenant_id,
            execution_id=execution_id,
            runner_id=body.runner_id,
            shard_id=body.shard_id,
            done=done,
            ahead=body.ahead,
        )
    )
    claimed = receipt.claimed
    if claimed is None:
        raise LookupError("a claim without an answer")
    tests: Sequence[PlannedTest] = ()
    if claimed.places:
        manifest = await call.request.config_dict[MANIFESTS].of(call.principal.tenant_id, execution_id)
        tests = [manifest.tests[place] for place in claimed.places]
    return wire.ClaimAnswer(
        state=claimed.state,
        lease_id=None if claimed.lease is None else lease_id(claimed.lease),
        shard_id=claimed.shard_id,
        runner_id=body.runner_id,
        lease_seconds=services.settings.shard_lease_seconds,
        expires_at=None if claimed.lease is None else expiry(call, receipt.at),
        attempt=claimed.attempt,
        expected_duration=round(sum(test.expected_ms or 0 for test in tests)),
        tests=[
            wire.ClaimedTest(
                file=test.file,
                title=test.title,
                id=test.name,
                expected_duration=test.expected_ms,
                quarantined=test.quarantined,
            )
            for test in tests
        ],
        remaining=claimed.unsettled,
        retry_after=claimed.retry_after,
        reason=receipt.reason if claimed.state is ClaimState.CANCELLED else None,
    )


async def heartbeat(call: Call[wire.Heartbeat, None]) -> wire.HeartbeatAnswer:
    """A sign of life, and what the runner is to do."""
    number = _number_in_path(call)
    receipt = await call.services.mailbox.send(
        Beat(
            command_id=ids.new_id("cmd", call.now),
            tenant_id=call.principal.tenant_id,
            execution_id=paths.execution_id_of(call.request),
            runner_id=call.body.runner_id,
            lease=number,
        )
    )
    order = receipt.order or Order.ABANDON
    return wire.HeartbeatAnswer(
        lease_id=lease_id(number),
        order=order,
        expires_at=expiry(call, receipt.at) if order is Order.CONTINUE else None,
        reason=receipt.reason if order is Order.CANCEL else None,
    )


async def hand_back(call: Call[None, wire.HandBackQuery]) -> wire.HandedBack:
    """A runner that has to leave gives its tests to others; once more, it has none."""
    number = _number_in_path(call)
    receipt = await call.services.mailbox.send(
        HandBack(
            command_id=ids.new_id("cmd", call.now),
            tenant_id=call.principal.tenant_id,
            execution_id=paths.execution_id_of(call.request),
            runner_id=call.query.runner_id,
            lease=number,
        )
    )
    return wire.HandedBack(lease_id(number), receipt.returned, receipt.others)


def number_of(text: str) -> int | None:
    """The number of a lease; None for what is no lease's id."""
    match = _LEASE.fullmatch(text)
    return None if match is None else int(match[1])


def expiry(call: Call[Any, Any], at: datetime) -> str:
    """When a lease lapses that was renewed at this time."""
    return to_text(at + timedelta(seconds=call.services.settings.shard_lease_seconds))


def _number_in_path(call: Call[Any, Any]) -> int:
    number = number_of(paths.id_of(call.request, "leaseId"))
    if number is None:
        raise NotFound("There is no such leaseId")
    return number
