"""Results of shards: the hot path."""

from hashlib import blake2b

from gateway.calls import Call
from gateway.wire import reading
from gateway.wire import results as wire
from orchestrator import ids
from orchestrator.executions.commands import Submit
from orchestrator.executions.model import ShardStatus, count, settle
from orchestrator.timestamps import to_text
from storage import result_rows

_DIGEST_BYTES = 16


async def submit(call: Call[wire.ResultSubmission, None]) -> wire.SubmissionAccepted:
    """Take a shard's results (X-052); the answer means that they are stored for good."""
    body, marks, tenant_id = call.body, call.marks(), call.principal.tenant_id
    metadata = body.metadata or wire.NO_METADATA
    tests = body.tests or []
    totals = settle((body.results or wire.NO_COUNTERS).sent(), count(tests))
    submission_id = ids.new_id("sub", call.now)
    receipt = await call.services.mailbox.send(
        Submit(
            command_id=marks.command_id,
            tenant_id=tenant_id,
            execution_id=body.execution_id,
            may_repeat=marks.may_repeat,
            fingerprint=marks.fingerprint,
            submission_id=submission_id,
            shard_id=str(body.shard_id),
            provider=body.provider,
            status=ShardStatus(body.status),
            totals=totals,
            tests=len(tests),
            rows=result_rows.encode(tenant_id, submission_id, call.now, tests),
            artifacts=wire.artifacts_text(body.artifacts),
            metadata=None if body.metadata is None else reading.metadata_text(call.raw),
            digest=blake2b(call.raw, digest_size=_DIGEST_BYTES).digest(),
            reported_at=call.now,
            started_at=metadata.start_time,
            ended_at=metadata.end_time,
            duration_ms=None if metadata.duration is None else round(metadata.duration),
        )
    )
    return wire.SubmissionAccepted(
        submission_id=receipt.submission_id or submission_id,
        execution_id=receipt.execution_id,
        shard_id=str(body.shard_id),
        processed_at=to_text(receipt.at),
        summary=wire.SubmissionSummary(
            tests_processed=totals.total,
            artifacts_uploaded=0 if body.artifacts is None else body.artifacts.kinds(),
            webhooks_triggered=receipt.webhooks,
        ),
    )
