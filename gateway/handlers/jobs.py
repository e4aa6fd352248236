"""Jobs: register, change, list, look, delete; upload their archives; tell how one is run."""

import asyncio
import hmac
import secrets
from collections.abc import Mapping

from aiohttp import web

from gateway import paths
from gateway.calls import Call
from gateway.handlers.executions import found, found_shard
from gateway.middleware.forms import SentFile
from gateway.wire import jobs as wire
from gateway.wire import listings
from orchestrator import ids
from orchestrator.errors import FieldError, NotFound, ValidationFailed
from orchestrator.jobs import archives, environment, rules
from orchestrator.jobs.model import Definition, Parameter, Resources
from orchestrator.timestamps import to_text
from orchestrator.webhooks.sealing import NONCE_BYTES
from storage import job_output, job_shards, jobs
from storage.jobs import JobPosition, Sealed, Version

PLAIN = "text/plain; charset=utf-8"


async def put(call: Call[wire.PutJob, None]) -> wire.RegisteredJob | wire.NewJob:
    """Register a job, or change it: that is another version, unless nothing is different.

    Raises:
        ValidationFailed: a job cannot be like this; each field is named.
    """
    name, tenant_id, by = paths.id_of(call.request, "jobName"), call.principal.tenant_id, call.principal.subject
    definition = _definition(call.body)
    rules.check(definition, call.services.settings.job_folders)
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        former = await jobs.lock(connection, tenant_id, name)
        if definition.archive is not None and not await jobs.has_archive(connection, tenant_id, definition.archive):
            raise ValidationFailed(FieldError("source.archive", "There is no such archive; upload it first"))
        job_id = ids.new_id("job", call.now) if former is None else former.job_id
        version = _version(call, definition, job_id, former)
        if former is None:
            await jobs.create(connection, job_id, tenant_id, name, version, by=by, now=call.now)
        elif not hmac.compare_digest(former.fingerprint, version.fingerprint):
            await jobs.change(connection, job_id, version, by=by, now=call.now)
        job = await jobs.named(connection, name)
    return wire.printed_new(job) if former is None else wire.printed(job)


async def page(call: Call[None, wire.JobQuery]) -> wire.JobPage:
    """The tenant's jobs, by name."""
    after = listings.position_of(call.query.cursor, JobPosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await jobs.page(connection, after=after, limit=call.query.limit)
    return wire.JobPage([wire.printed(job) for job in listed], listings.cursor_of(end))


async def show(call: Call[None, None]) -> wire.RegisteredJob:
    """One job in its newest version."""
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        return wire.printed(await jobs.named(connection, paths.id_of(call.request, "jobName")))


async def delete(call: Call[None, None]) -> wire.JobDeleted:
    """End a job: nothing more is started with it; what runs goes on."""
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        job = await jobs.delete(connection, paths.id_of(call.request, "jobName"), now=call.now)
    return wire.JobDeleted(job.name, to_text(call.now))


async def upload(call: Call[list[SentFile], None]) -> wire.ArchiveKept:
    """Keep an archive for jobs; the same bytes again are the same archive.

    Raises:
        ValidationFailed: it is not one file.
        UnreadableArchive: it is no archive, or holds what is not taken.
    """
    if len(call.body) != 1 or not call.body[0].content:
        raise ValidationFailed(FieldError("files", "Must be one file"))
    content, tenant_id = call.body[0].content, call.principal.tenant_id
    about = await asyncio.to_thread(archives.summary, content)
    async with call.services.reader.tenant(tenant_id, write=True) as connection:
        await jobs.keep_archive(connection, tenant_id, about, content, call.now)
    return wire.archive(about, content)


async def of_execution(call: Call[None, None]) -> wire.JobExecution:
    """What an execution runs, and how each of its shards is run.

    Raises:
        NotFound: it runs no job.
    """
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        run = await jobs.of_execution(connection, execution_id)
        shards = await job_shards.of_execution(connection, execution_id)
    if run is None:
        raise NotFound(f"{execution_id} runs no job")
    name, version, parameters = run
    return wire.JobExecution(
        execution_id=execution_id,
        name=name,
        version=version,
        parameters=parameters,
        shards=[wire.shard(one) for one in shards],
    )


async def output(call: Call[None, wire.OutputQuery]) -> web.StreamResponse:
    """What a shard's command has written, as it is so far; `?after=` leaves out what the caller has.

    Raises:
        NotFound: no job is run in such a shard.
    """
    execution_id, number = paths.execution_id_of(call.request), call.request.match_info["shardId"]
    tenant_id = call.principal.tenant_id
    async with call.services.reader.tenant(tenant_id) as connection:
        shard = found_shard(await found(connection, execution_id), number)
        if not await job_shards.of_execution(connection, execution_id):
            raise NotFound(f"{execution_id} runs no job")
    answer = web.StreamResponse(headers={"Content-Type": PLAIN, "X-Content-Type-Options": "nosniff"})
    await answer.prepare(call.request)
    pieces = job_output.pieces(
        lambda: call.services.reader.tenant(tenant_id), execution_id, int(shard.shard_id), call.query.after
    )
    async for piece in pieces:
        await answer.write(piece)
    await answer.write_eof()
    return answer


def _definition(body: wire.PutJob) -> Definition:
    source = body.source or wire.Source()
    return Definition(
        command=tuple(body.command),
        parameters={name: Parameter(one.pattern, one.default) for name, one in (body.parameters or {}).items()},
        variables=tuple(sorted(body.environment or {})),
        resources=Resources() if body.resources is None else body.resources.settled(),
        reports=body.reports,
        timeout_ms=body.timeout,
        archive=source.archive,
        folder=source.folder,
    )


def _version(call: Call[wire.PutJob, None], definition: Definition, job_id: str, former: Sealed | None) -> Version:
    key = call.services.secret_key
    kept = {} if former is None else environment.opened(key, job_id, former.environment)
    values = _values(call.body.environment or {}, kept)
    return Version(
        definition=definition,
        environment=environment.sealed(key, job_id, values, secrets.token_bytes(NONCE_BYTES)),
        fingerprint=environment.fingerprint(key, definition, values),
    )


def _values(given: Mapping[str, str | None], kept: Mapping[str, str]) -> dict[str, str]:
    """The variables: a value that is not given is that of the version before."""
    missing = [name for name, value in given.items() if value is None and name not in kept]
    if missing:
        raise ValidationFailed(*(FieldError(f"environment.{name}", "There is no value to keep") for name in missing))
    return {name: kept[name] if value is None else value for name, value in given.items()}
