"""Plans as they are kept: what is settled once in `plans`, what changes with every claim and report in `deals`."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from asyncpg import Record
from msgspec import Meta

from orchestrator.executions.model import Execution
from orchestrator.executions.plan import Deal, Plan, PlanMode, Unit, packed_set, unpacked_set
from orchestrator.executions.planning import PlannedTest
from storage.postgres import Connection

_PACKING_LEVEL = 1

_manifest = msgspec.msgpack.Decoder(tuple[PlannedTest, ...])
_units = msgspec.json.Decoder(tuple[Unit, ...])
_state = msgspec.json.Decoder(Deal)


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """What the rules need not know of a plan.

    Attributes:
        tests: in the order of their places, to be unpacked.
        rerun_of: the execution whose failed and missing tests these are; None for a plan of all tests.
    """

    tests: bytes
    rerun_of: str | None = None


_packed = msgspec.msgpack.Decoder(Packed)


def pack(manifest: Sequence[PlannedTest], rerun_of: str | None = None) -> bytes:
    """A plan's tests for `insert`: a tenth of a second for 100,000, mostly without Python's lock."""
    return msgspec.msgpack.encode(Packed(pack_tests(manifest), rerun_of))


def pack_tests(tests: Sequence[PlannedTest]) -> bytes:
    """Tests, small."""
    return zlib.compress(msgspec.msgpack.encode(tests), _PACKING_LEVEL)


def unpack(tests: bytes) -> tuple[PlannedTest, ...]:
    """What `pack_tests` packed."""
    return _manifest.decode(zlib.decompress(tests))


async def insert(connection: Connection, plans: Iterable[tuple[Execution, bytes]]) -> None:
    """Keep new plans, each with what `pack` packed."""
    records = [
        (
            *(execution.execution_id, execution.tenant_id, plan.mode, plan.created_at, plan.tests, plan.known_tests),
            *(plan.digest, msgspec.json.encode(plan.units).decode(), plan.bounds, plan.shard_ms),
            *msgspec.structs.astuple(_packed.decode(packed)),
        )
        for execution, packed in plans
        if (plan := execution.plan) is not None
    ]
    if records:
        await connection.copy_records_to_table("plans", records=records, columns=_COLUMNS)


_COLUMNS = (
    *("execution_id", "tenant_id", "mode", "created_at", "tests", "known_tests"),
    *("digest", "units", "bounds", "shard_ms", "manifest", "rerun_of"),
)


async def load(connection: Connection, execution_ids: Sequence[str]) -> dict[str, Plan]:
    """The plans of these executions, without their manifests; those without one are left out."""
    rows = await connection.fetch(
        "SELECT execution_id, mode, created_at, tests, known_tests, digest, units, bounds, shard_ms FROM plans"
        " WHERE execution_id = ANY($1)",
        execution_ids,
    )
    return {
        row["execution_id"]: Plan(
            mode=PlanMode(row["mode"]),
            created_at=row["created_at"],
            tests=row["tests"],
            known_tests=row["known_tests"],
            units=_units.decode(row["units"]),
            bounds=tuple(row["bounds"]),
            shard_ms=tuple(row["shard_ms"]),
            digest=row["digest"],
        )
        for row in rows
    }


class ManifestPosition(msgspec.Struct, frozen=True):
    """The last test of a page."""

    place: Annotated[int, Meta(ge=0, lt=2**31)]


async def packed(connection: Connection, execution_id: str) -> Packed | None:
    """The tests of a plan; None where there is no plan."""
    row = await connection.fetchrow("SELECT manifest, rerun_of FROM plans WHERE execution_id = $1", execution_id)
    return None if row is None else Packed(*row)


async def is_rerun(connection: Connection, execution_id: str) -> bool:
    """Whether an execution has a plan that leaves out on purpose what passed in an earlier one."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM plans WHERE execution_id = $1 AND rerun_of IS NOT NULL)", execution_id
    )
    return found


async def write_deals(connection: Connection, changed: Sequence[Execution]) -> None:
    """Keep how far plans are worked off."""
    rows = [
        (
            *(execution.execution_id, execution.tenant_id, packed_set(deal.reported), packed_set(deal.missing)),
            msgspec.json.encode(msgspec.structs.replace(deal, reported=0, missing=0)).decode(),
        )
        for execution in changed
        if (deal := execution.deal) is not None
    ]
    if not rows:
        return
    await connection.execute(
        "INSERT INTO deals (execution_id, tenant_id, reported, missing, state)"
        " SELECT n.execution_id, n.tenant_id, n.reported, n.missing, n.state::json"
        " FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[], $5::text[])"
        " AS n(execution_id, tenant_id, reported, missing, state)"
        " ON CONFLICT (execution_id) DO UPDATE SET reported = excluded.reported, missing = excluded.missing,"
        " state = excluded.state",
        *zip(*rows, strict=True),
    )


def deal_of(row: Record) -> Deal:
    """How far a plan is worked off, from a row of `deals`."""
    deal = _state.decode(row["state"])
    return msgspec.structs.replace(deal, reported=unpacked_set(row["reported"]), missing=unpacked_set(row["missing"]))


async def open_leases(connection: Connection, partition: int) -> dict[str, list[int]]:
    """The numbers of all open leases of a partition's executions."""
    rows = await connection.fetch(
        "SELECT d.execution_id, d.state FROM deals d JOIN executions e USING (execution_id)"
        " WHERE e.partition = $1 AND e.status IN ('created', 'running')",
        partition,
    )
    return {row["execution_id"]: [lease.number for lease in _state.decode(row["state"]).leases] for row in rows}
