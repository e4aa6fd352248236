"""Results of shards: the hot path."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from actors.mailbox import PlacesNeeded
from gateway.calls import Call
from gateway.manifests import MANIFESTS
from gateway.middleware.idempotency import Marks
from gateway.wire import reading
from gateway.wire import results as wire
from orchestrator import ids
from orchestrator.executions.commands import Receipt, Submit
from orchestrator.executions.model import ShardStatus, TestOutcome, Totals, count, settle
from orchestrator.executions.streams import status_letters
from orchestrator.timestamps import to_text
from storage import result_rows

_DIGEST_BYTES = 16


class Stored(msgspec.Struct, frozen=True):
    """Results that are stored for good: under which id, what they count as, and what the owner said."""

    submission_id: str
    totals: Totals
    receipt: Receipt


async def submit(call: Call[wire.ResultSubmission, None]) -> wire.SubmissionAccepted:
    """Take a shard's results (X-052); the answer means that they are stored for good."""
    body = call.body
    metadata = None if body.metadata is None else reading.metadata_text(call.raw)
    stored = await store(call, call.marks(), body, body.tests or [], call.raw, metadata)
    return wire.SubmissionAccepted(
        submission_id=stored.submission_id,
        execution_id=stored.receipt.execution_id,
        shard_id=str(body.shard_id),
        processed_at=to_text(stored.receipt.at),
        summary=wire.SubmissionSummary(
            tests_processed=stored.totals.total,
            artifacts_uploaded=0 if body.artifacts is None else body.artifacts.kinds(),
            webhooks_triggered=stored.receipt.webhooks,
        ),
    )


async def store(
    call: Call[Any, Any],
    marks: Marks,
    submission: wire.ResultSubmission,
    tests: Sequence[TestOutcome],
    content: bytes,
    metadata: str | None,
) -> Stored:
    """Have the results of a shard stored.

    Args:
        call: the request.
        marks: of the request.
        submission: all of the results but their tests.
        tests: each of them.
        content: the same content for the same shard again is a repetition, and changes nothing.
        metadata: JSON text as it was sent.
    """
    tenant_id = call.principal.tenant_id
    run = submission.metadata or wire.NO_METADATA
    totals = settle((submission.results or wire.NO_COUNTERS).sent(), count(tests))
    submission_id = ids.new_id("sub", call.now)
    command = Submit(
        command_id=marks.command_id,
        tenant_id=tenant_id,
        execution_id=submission.execution_id,
        may_repeat=marks.may_repeat,
        fingerprint=marks.fingerprint,
        submission_id=submission_id,
        shard_id=str(submission.shard_id),
        provider=submission.provider,
        status=ShardStatus(submission.status),
        totals=totals,
        tests=len(tests),
        rows=result_rows.encode(tenant_id, submission_id, call.now, tests),
        artifacts=wire.artifacts_text(submission.artifacts),
        metadata=metadata,
        digest=blake2b(content, digest_size=_DIGEST_BYTES).digest(),
        reported_at=call.now,
        started_at=run.start_time,
        ended_at=run.end_time,
        duration_ms=None if run.duration is None else round(run.duration),
        runner_id=submission.runner_id,
    )
    try:
        receipt = await call.services.mailbox.send(command)
    except PlacesNeeded:
        # Few executions have a plan, so that it is not looked for before their owner asks.
        manifest = await call.request.config_dict[MANIFESTS].of(tenant_id, submission.execution_id)
        placed, letters = manifest.placed(tests), status_letters(tests)
        receipt = await call.services.mailbox.send(msgspec.structs.replace(command, placed=placed, letters=letters))
    return Stored(receipt.submission_id or submission_id, totals, receipt)
