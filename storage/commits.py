"""What an owner commits: changes of many commands in one transaction, refused if it is no longer the owner."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

import msgspec

from orchestrator.errors import StaleOwner
from orchestrator.executions import source
from orchestrator.executions.model import Execution, Shard, Totals
from orchestrator.jobs.model import JobRun
from storage import job_shards, plans, result_rows
from storage.postgres import Connection


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `submissions`, and the encoded rows of its tests (`result_rows.encode`).

    `root_id` is the submission's own id, or that of the first piece of the stream that it belongs to.
    """

    submission_id: str
    tenant_id: int
    execution_id: str
    shard: int
    attempt: int | None
    provider: str | None
    status: str
    totals: Totals
    tests: int
    first_frame: int | None
    artifacts: str | None
    metadata: str | None
    digest: bytes
    reported_at: datetime
    recorded_at: datetime
    root_id: str
    rows: bytes


class EventRow(msgspec.Struct, frozen=True):
    """One row of `events`; `data` is JSON text."""

    execution_id: str
    seq: int
    tenant_id: int
    name: str
    at: datetime
    data: str


class ReceiptRow(msgspec.Struct, frozen=True):
    """One row of `receipts`; `receipt` is JSON text."""

    command_id: str
    tenant_id: int
    execution_id: str
    fingerprint: bytes
    receipt: str
    recorded_at: datetime


class Changes(msgspec.Struct, kw_only=True):
    """What one transaction changes in the state of executions.

    Attributes:
        created: executions that are new, in their last state, all their shards with them.
        changed: executions that were there before, in their last state, each with the shards that changed.
        planned: executions that have a plan now, each with its packed manifest.
        dealt: executions of whose plans more is dealt out or worked off.
        managed: new executions that the server runs itself.
    """

    created: list[Execution] = []
    changed: list[tuple[Execution, list[Shard]]] = []
    submissions: list[Submission] = []
    planned: list[tuple[Execution, bytes]] = []
    dealt: list[Execution] = []
    managed: list[tuple[Execution, JobRun]] = []


async def claim(connection: Connection, partition: int) -> int:
    """Take a partition: raise its epoch, so that any former owner's next commit is refused.

    Returns:
        The new epoch, to be given to `fence`.
    """
    epoch: int | None = await connection.fetchval(
        "UPDATE partitions SET epoch = epoch + 1, claimed_at = now() WHERE partition = $1 RETURNING epoch", partition
    )
    if epoch is None:
        raise LookupError(f"partition {partition} does not exist")
    return epoch


async def fence(connection: Connection, partition: int, epoch: int) -> int:
    """Hold the partition for the running transaction.

    Returns:
        The revision of the registered webhooks: as long as it is the same, so is `webhooks.subscriptions`.

    Raises:
        StaleOwner: another owner has claimed it since.
    """
    row = await connection.fetchrow(
        "SELECT epoch, (SELECT revision FROM webhook_revision) AS revision FROM partitions"
        " WHERE partition = $1 FOR SHARE",
        partition,
    )
    current = None if row is None else row["epoch"]
    if row is None or current != epoch:
        raise StaleOwner(f"partition {partition} was claimed by a newer owner (epoch {current}, ours {epoch})")
    revision: int = row["revision"]
    return revision


async def partition_count(connection: Connection, wanted: int) -> int:
    """How many partitions there are, and couriers; the first start makes as many as it wants, and that is final."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE partitions IN EXCLUSIVE MODE")
        existing: int = await connection.fetchval("SELECT count(*) FROM partitions")
        if existing == 0:
            await connection.execute("INSERT INTO partitions (partition) SELECT generate_series(0, $1 - 1)", wanted)
            await connection.execute("INSERT INTO couriers (courier) SELECT partition FROM partitions")
            existing = wanted
    return existing


async def recorded(connection: Connection, command_ids: Sequence[str]) -> dict[str, tuple[bytes, str]]:
    """The receipts of commands carried out before: command id to (fingerprint, receipt as JSON text)."""
    rows = await connection.fetch(
        "SELECT command_id, fingerprint, receipt FROM receipts WHERE command_id = ANY($1)", command_ids
    )
    return {row["command_id"]: (row["fingerprint"], row["receipt"]) for row in rows}


async def write_state(connection: Connection, partition: int, changes: Changes) -> None:
    """Write what the executions are now: tests, submissions, executions and shards."""
    await _copy_tests(connection, changes.submissions)
    await _copy(connection, "submissions", [_submission_row(submission) for submission in changes.submissions])
    if changes.created:
        await _insert_executions(connection, partition, changes.created)
        await _insert_shards(connection, changes.created)
    if changes.changed:
        await _update_executions(connection, [execution for execution, _ in changes.changed])
        await _update_shards(connection, changes.changed)
    await plans.insert(connection, changes.planned)
    await plans.write_deals(connection, changes.dealt)
    await job_shards.insert(connection, changes.managed)


async def write_log(connection: Connection, events: Iterable[EventRow], receipts: Iterable[ReceiptRow]) -> None:
    """Write what happened, and what was replied."""
    await _copy(connection, "events", [msgspec.structs.astuple(event) for event in events])
    await _copy(connection, "receipts", [msgspec.structs.astuple(receipt) for receipt in receipts])


async def _copy(connection: Connection, table: str, records: Sequence[tuple[object, ...]]) -> None:
    if records:
        await connection.copy_records_to_table(table, records=records, columns=_COLUMNS[table])


_COLUMNS = {
    "submissions": (
        *("submission_id", "tenant_id", "execution_id", "shard", "attempt", "provider", "status"),
        *("total", "passed", "failed", "skipped", "flaky", "tests", "first_frame", "artifacts", "metadata"),
        *("digest", "reported_at", "recorded_at", "root_id"),
    ),
    "events": EventRow.__struct_fields__,
    "receipts": ReceiptRow.__struct_fields__,
    "executions": (
        *("execution_id", "tenant_id", "partition", "status", "seq", "frames", "test_suite", "environment"),
        *("provider", "trigger_source", "branch", "commit_sha", "configuration", "metadata", "base_url", "created_at"),
        *("started_at", "ended_at", "deadline", "reason_code", "reason", "announced"),
        *("total", "passed", "failed", "skipped", "flaky"),
    ),
    "shards": (
        *("execution_id", "number", "tenant_id", "status", "total", "passed", "failed", "skipped", "flaky"),
        *("submission_id", "digest", "attempts", "started_at", "ended_at", "duration_ms", "streamed"),
    ),
}


async def _copy_tests(connection: Connection, submissions: Iterable[Submission]) -> None:
    rows = b"".join(submission.rows for submission in submissions)
    if rows:
        await connection.copy_to_table("tests", source=_whole(rows), columns=result_rows.COLUMNS)


async def _whole(rows: bytes) -> AsyncIterator[bytes]:
    """Rows as a source for COPY; a file object would be read on another thread, half a millisecond for each commit."""
    yield rows


def _submission_row(row: Submission) -> tuple[object, ...]:
    return (
        *(row.submission_id, row.tenant_id, row.execution_id, row.shard, row.attempt, row.provider, row.status),
        *_numbers(row.totals),
        *(row.tests, row.first_frame, row.artifacts, row.metadata, row.digest, row.reported_at, row.recorded_at),
        row.root_id,
    )


def _numbers(totals: Totals) -> tuple[int, int, int, int, int]:
    return totals.total, totals.passed, totals.failed, totals.skipped, totals.flaky


async def _insert_executions(connection: Connection, partition: int, created: Iterable[Execution]) -> None:
    records = []
    for execution in created:
        tested = source.of(execution.metadata)
        records.append((
            *(execution.execution_id, execution.tenant_id, partition, execution.status, execution.seq),
            *(execution.frames, execution.test_suite, execution.environment, execution.provider),
            *(execution.trigger_source, tested.branch, tested.commit),
            *(_json(execution.configuration), execution.metadata),
            *(execution.base_url, execution.created_at, *_ending(execution), *_numbers(execution.totals)),
        ))  # fmt: skip
    await _copy(connection, "executions", records)


def _ending(execution: Execution) -> tuple[object, ...]:
    announced = None if execution.announced is None else _json(execution.announced)
    return (
        *(execution.started_at, execution.ended_at, execution.deadline),
        *(execution.reason_code, execution.reason, announced),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _shard_row(execution: Execution, shard: Shard) -> tuple[object, ...]:
    return (
        *(execution.execution_id, int(shard.shard_id), execution.tenant_id, shard.status, *_numbers(shard.totals)),
        *(shard.submission_id, shard.digest, shard.attempts, shard.started_at, shard.ended_at, shard.duration_ms),
        shard.is_streamed,
    )


async def _insert_shards(connection: Connection, created: Iterable[Execution]) -> None:
    records = [_shard_row(execution, shard) for execution in created for shard in execution.shards]
    await _copy(connection, "shards", records)


async def _update_executions(connection: Connection, changed: Sequence[Execution]) -> None:
    rows = [
        (
            *(execution.execution_id, execution.status, execution.seq, execution.frames),
            *(*_ending(execution), *_numbers(execution.totals)),
        )
        for execution in changed
    ]
    await connection.execute(
        "UPDATE executions AS e SET status = n.status, seq = n.seq, frames = n.frames, started_at = n.started_at,"
        " ended_at = n.ended_at, deadline = n.deadline, reason_code = n.reason_code, reason = n.reason,"
        " announced = n.announced::json, total = n.total, passed = n.passed, failed = n.failed,"
        " skipped = n.skipped, flaky = n.flaky, digested = false"
        " FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $5::timestamptz[], $6::timestamptz[],"
        " $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[],"
        " $14::bigint[], $15::bigint[])"
        " AS n(execution_id, status, seq, frames, started_at, ended_at, deadline, reason_code, reason, announced,"
        " total, passed, failed, skipped, flaky)"
        " WHERE e.execution_id = n.execution_id",
        *zip(*rows, strict=True),
    )


async def _update_shards(connection: Connection, changed: Iterable[tuple[Execution, list[Shard]]]) -> None:
    rows = [_shard_row(execution, shard) for execution, shards in changed for shard in shards]
    if not rows:
        return
    await connection.execute(
        "UPDATE shards AS s SET status = n.status, total = n.total, passed = n.passed, failed = n.failed,"
        " skipped = n.skipped, flaky = n.flaky, submission_id = n.submission_id, digest = n.digest,"
        " attempts = n.attempts, started_at = n.started_at, ended_at = n.ended_at, duration_ms = n.duration_ms,"
        " streamed = n.streamed"
        " FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],"
        " $8::bigint[], $9::bigint[], $10::text[], $11::bytea[], $12::int[], $13::timestamptz[], $14::timestamptz[],"
        " $15::bigint[], $16::boolean[])"
        " AS n(execution_id, number, tenant_id, status, total, passed, failed, skipped, flaky, submission_id, digest,"
        " attempts, started_at, ended_at, duration_ms, streamed)"
        " WHERE s.execution_id = n.execution_id AND s.number = n.number",
        *zip(*rows, strict=True),
    )
