"""The gate of an execution."""

from gateway import paths
from gateway.calls import Call
from gateway.handlers.executions import found
from gateway.wire import gate as wire
from orchestrator.history.gate import judge, rules_of
from storage import gate


async def verdict(call: Call[None, wire.GateQuery]) -> wire.GateVerdict:
    """Whether an execution is good enough; it need not be in history yet."""
    execution_id, rules = paths.execution_id_of(call.request), rules_of(call.query.rules)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
        if not execution.is_finished:
            return wire.pending(execution_id)
        compared = await gate.baseline(connection, execution, call.query.baseline)
        evidence = await gate.evidence(connection, execution, compared)
    judged, findings = judge(rules, evidence)
    quarantined = [test for test in evidence.failed if test.test_id in evidence.quarantined]
    return wire.final(execution_id, judged, findings, compared, quarantined)
