"""Registered jobs, their versions and archives: made and read by the gateway for one tenant."""

from datetime import datetime

import msgspec
from sqlalchemy import select

from orchestrator.errors import NotFound
from orchestrator.jobs.archives import Summary
from orchestrator.jobs.model import Definition, Job
from storage import schema
from storage.executions import Row, fetch
from storage.postgres import Connection

_definitions = msgspec.json.Decoder(Definition)

_SELECT = (
    "SELECT j.job_id, j.tenant_id, j.name, j.version, v.definition, j.created_at, j.updated_at, v.created_by"
    " FROM jobs AS j JOIN job_versions AS v USING (job_id, version)"
)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a job that is to be kept.

    Attributes:
        environment: its variables, sealed.
        fingerprint: keyed, of all of it; the same again is no new version.
    """

    definition: Definition
    environment: bytes
    fingerprint: bytes


class Sealed(msgspec.Struct, frozen=True):
    """What the newest version of a job has that is not shown."""

    job_id: str
    environment: bytes
    fingerprint: bytes


async def lock(connection: Connection, tenant_id: int, name: str) -> Sealed | None:
    """Hold a name of a tenant until the end of the transaction; what is registered under it, None if nothing is."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('job ' || $1 || ' ' || $2, 0))", str(tenant_id), name
    )
    row = await connection.fetchrow(
        "SELECT j.job_id, v.environment, v.fingerprint FROM jobs AS j JOIN job_versions AS v USING (job_id, version)"
        " WHERE j.name = $1 AND j.deleted_at IS NULL",
        name,
    )
    return None if row is None else Sealed(*row)


async def create(
    connection: Connection, job_id: str, tenant_id: int, name: str, first: Version, *, by: str, now: datetime
) -> None:
    """Register a job under a name that is free; `lock` has held it."""
    await connection.execute(
        "INSERT INTO jobs (job_id, tenant_id, name, version, created_at, updated_at) VALUES ($1, $2, $3, 1, $4, $4)",
        *(job_id, tenant_id, name, now),
    )
    await _add(connection, job_id, first, by, now)


async def change(connection: Connection, job_id: str, changed: Version, *, by: str, now: datetime) -> None:
    """Give a job another version, the newest from now on."""
    await connection.execute("UPDATE jobs SET version = version + 1, updated_at = $2 WHERE job_id = $1", job_id, now)
    await _add(connection, job_id, changed, by, now)


async def _add(connection: Connection, job_id: str, version: Version, by: str, now: datetime) -> None:
    await connection.execute(
        "INSERT INTO job_versions"
        " (job_id, version, tenant_id, definition, environment, fingerprint, created_at, created_by)"
        " SELECT job_id, version, tenant_id, $2, $3, $4, $5, $6 FROM jobs WHERE job_id = $1",
        *(job_id, msgspec.json.encode(version.definition).decode(), version.environment, version.fingerprint, now, by),
    )


async def named(connection: Connection, name: str) -> Job:
    """The job of this name.

    Raises:
        NotFound: this tenant has none.
    """
    row = await connection.fetchrow(f"{_SELECT} WHERE j.name = $1 AND j.deleted_at IS NULL", name)
    return _found(row, name)


async def of_execution(connection: Connection, execution_id: str) -> tuple[str, int, dict[str, str]] | None:
    """What an execution runs: the job's name, its version, and the parameters; None if it runs no job."""
    row = await connection.fetchrow(
        "SELECT j.name, r.version, r.parameters FROM job_runs AS r JOIN jobs AS j USING (job_id)"
        " WHERE r.execution_id = $1",
        execution_id,
    )
    if row is None:
        return None
    return row["name"], row["version"], msgspec.json.decode(row["parameters"], type=dict[str, str])


class JobPosition(msgspec.Struct, frozen=True):
    """The last job of a page."""

    name: str


async def page(
    connection: Connection, *, after: JobPosition | None, limit: int
) -> tuple[list[Job], JobPosition | None]:
    """Jobs by name; and where the next page begins, None after the last."""
    job, version = schema.jobs.c, schema.job_versions.c
    query = (
        select(schema.jobs, version.definition, version.created_by)
        .join(schema.job_versions, (version.job_id == job.job_id) & (version.version == job.version))
        .where(job.deleted_at.is_(None))
        .order_by(job.name)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(job.name > after.name)
    jobs = [_job(row) for row in await fetch(connection, query)]
    return jobs[:limit], JobPosition(jobs[limit - 1].name) if len(jobs) > limit else None


async def delete(connection: Connection, name: str, *, now: datetime) -> Job:
    """Delete a job: nothing more is started with it; what runs goes on.

    Returns:
        The job as it was.

    Raises:
        NotFound: this tenant has none of this name.
    """
    job = await named(connection, name)
    await connection.execute("UPDATE jobs SET deleted_at = $2 WHERE job_id = $1", job.job_id, now)
    return job


async def keep_archive(connection: Connection, tenant_id: int, about: Summary, content: bytes, now: datetime) -> None:
    """Keep an archive; one that is there already stays."""
    await connection.execute(
        "INSERT INTO job_archives (tenant_id, digest, files, unpacked_bytes, content, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        *(tenant_id, about.digest, about.files, about.unpacked_bytes, content, now),
    )


async def has_archive(connection: Connection, tenant_id: int, digest: str) -> bool:
    """Whether a tenant has such an archive."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM job_archives WHERE tenant_id = $1 AND digest = $2)", tenant_id, digest
    )
    return found


async def archive(connection: Connection, tenant_id: int, digest: str) -> bytes:
    """The bytes of an archive.

    Raises:
        NotFound: the tenant has none with this digest.
    """
    content: bytes | None = await connection.fetchval(
        "SELECT content FROM job_archives WHERE tenant_id = $1 AND digest = $2", tenant_id, digest
    )
    if content is None:
        raise NotFound(f"No archive {digest}")
    return content


def definition(text: str) -> Definition:
    """A version's definition, as it is kept."""
    return _definitions.decode(text)


def _found(row: Row | None, name: str) -> Job:
    if row is None:
        raise NotFound(f"No job {name}")
    return _job(row)


def _job(row: Row) -> Job:
    return Job(
        job_id=row["job_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        version=row["version"],
        definition=_definitions.decode(row["definition"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by=row["created_by"],
    )
