"""Streamed results: single tests of a running shard, each answered by itself (docs/runners.md)."""

from collections.abc import Sequence
from hashlib import blake2b

from gateway import paths
from gateway.calls import Call
from gateway.handlers.claims import expiry, number_of
from gateway.manifests import MANIFESTS
from gateway.wire import plans as wire
from gateway.wire.reading import BodyReader
from orchestrator import ids
from orchestrator.errors import BadRequest, FieldError, ValidationFailed
from orchestrator.executions import streams
from orchestrator.executions.commands import Order, Receipt, Stream
from orchestrator.executions.streams import BY_LETTER, Taken
from storage import result_rows

_DIGEST_BYTES = 16

_reader = BodyReader(wire.StreamedTest)


async def tests(call: Call[wire.StreamTests, None]) -> wire.StreamAnswer:
    """Take tests as they end; those that are accepted are stored for good."""
    number = number_of(call.body.lease_id)
    if number is None:
        raise ValidationFailed(FieldError("leaseId", "Must be a leaseId that a claim gave"))
    read = [_read(bytes(raw)) for raw in call.body.tests]
    taken = [test for test in read if isinstance(test, wire.StreamedTest)]
    receipt = await _send(call, number, taken) if taken else None
    outcomes = iter(() if receipt is None else receipt.outcomes)
    records = [
        _answered(next(outcomes)) if isinstance(test, wire.StreamedTest) else wire.RecordAnswer(Taken.REJECTED, test)
        for test in read
    ]
    counts = {one: sum(record.outcome is one for record in records) for one in Taken}
    order = (receipt and receipt.order) or Order.CONTINUE
    is_renewed = receipt is not None and order is Order.CONTINUE
    return wire.StreamAnswer(
        accepted=counts[Taken.ACCEPTED],
        duplicates=counts[Taken.DUPLICATE],
        late=counts[Taken.LATE],
        rejected=counts[Taken.REJECTED],
        records=records,
        order=order,
        expires_at=expiry(call, receipt.at) if receipt is not None and is_renewed else None,
    )


def _read(raw: bytes) -> wire.StreamedTest | str:
    """A test, or what is wrong with it."""
    try:
        return _reader.read(raw)
    except ValidationFailed as error:
        return "; ".join(f"{detail.field}: {detail.message}" for detail in error.details)
    except BadRequest as error:
        return error.message


def _answered(letter: str) -> wire.RecordAnswer:
    outcome = BY_LETTER[letter]
    return wire.RecordAnswer(outcome, TOO_MANY if outcome is Taken.REJECTED else None)


TOO_MANY = "The plan does not have it, and too many such tests were reported already"


async def _send(call: Call[wire.StreamTests, None], lease: int, taken: Sequence[wire.StreamedTest]) -> Receipt:
    marks, tenant_id = call.marks(), call.principal.tenant_id
    execution_id = paths.execution_id_of(call.request)
    manifest = await call.request.config_dict[MANIFESTS].of(tenant_id, execution_id)
    submission_id = ids.new_id("sub", call.now)
    return await call.services.mailbox.send(
        Stream(
            command_id=marks.command_id,
            tenant_id=tenant_id,
            execution_id=execution_id,
            may_repeat=marks.may_repeat,
            fingerprint=marks.fingerprint,
            runner_id=call.body.runner_id,
            lease=lease,
            shard_id=call.request.match_info["shardId"],
            submission_id=submission_id,
            tests=streams.status_letters(taken),
            placed=manifest.placed(taken),
            rows=result_rows.encode(tenant_id, submission_id, call.now, taken),
            digest=blake2b(call.raw, digest_size=_DIGEST_BYTES).digest(),
            reported_at=call.now,
        )
    )
