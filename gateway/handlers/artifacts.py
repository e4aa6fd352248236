"""Artifacts of an execution: send one, list, look, delete."""

from typing import Any

from gateway import intake, paths
from gateway.calls import Call
from gateway.handlers.executions import found, found_shard
from gateway.middleware import streamed
from gateway.wire import artifacts as wire
from gateway.wire import listings
from orchestrator import ids
from orchestrator.artifacts import kinds, names
from orchestrator.artifacts.model import URL_SECONDS, Artifact
from orchestrator.identity import signed_urls
from orchestrator.timestamps import to_text
from storage import artifacts
from storage.artifacts import ArtifactFilter, ArtifactPosition
from storage.postgres import Connection


async def upload(call: Call[None, wire.ArtifactUpload]) -> wire.Artifact:
    """Take a file that is the body; the answer means that it is stored for good."""
    settings, query = call.services.settings, call.query
    streamed.check(call.request, settings.artifact_bytes)
    draft = await drafted(call, query, size=0, sha256=b"")
    pieces = streamed.pieces(call.request, settings.artifact_bytes)
    expected = None if query.sha256 is None else bytes.fromhex(query.sha256)
    return printed(call, await intake.take(call.services, draft, pieces, expected=expected))


async def page(call: Call[None, wire.ArtifactQuery]) -> wire.ArtifactPage:
    """The files that are there."""
    execution_id, query = paths.execution_id_of(call.request), call.query
    wanted = ArtifactFilter(shard=query.shard, kind=query.kind, test=query.test, file=query.file, attempt=query.attempt)
    after = listings.position_of(query.cursor, ArtifactPosition)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        listed, end = await artifacts.page(connection, execution_id, wanted, after=after, limit=query.limit)
    return wire.ArtifactPage([printed(call, one) for one in listed], listings.cursor_of(end))


async def show(call: Call[None, None]) -> wire.Artifact:
    """One file, or what is still missing of it."""
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        artifact = await of_path(call, connection)
    return await looked_at(call, artifact)


async def delete(call: Call[None, None]) -> wire.ArtifactDeleted:
    """Delete a file, or give up an upload."""
    execution_id, artifact_id = paths.execution_id_of(call.request), paths.id_of(call.request, "artifactId")
    async with call.services.reader.tenant(call.principal.tenant_id, write=True) as connection:
        deleted = await artifacts.delete(connection, execution_id, artifact_id)
    if deleted.object_name is None:
        await intake.clear_away(call.services.blobs.delete_parts(artifact_id))
    return wire.ArtifactDeleted(artifact_id=artifact_id, deleted_at=to_text(call.now))


async def drafted(call: Call[Any, Any], binding: wire.ArtifactBinding, *, size: int, sha256: bytes) -> Artifact:
    """An artifact as it is asked for, if it may be.

    Raises:
        ValidationFailed: its name or kind cannot be.
        NotFound: there is no such execution or shard.
    """
    name = names.check(binding.name)
    kind = kinds.kind(name) if binding.kind is None else binding.kind
    kinds.check_kind(name, kind)
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        shard = found_shard(await found(connection, execution_id), binding.shard_id)
    return Artifact(
        artifact_id=ids.new_id("art", call.now),
        tenant_id=call.principal.tenant_id,
        execution_id=execution_id,
        shard_id=shard.shard_id,
        kind=kind,
        name=name,
        size=size,
        sha256=sha256,
        test=binding.test,
        file=binding.file,
        attempt=binding.attempt,
        created_at=call.now,
    )


async def of_path(call: Call[Any, Any], connection: Connection) -> Artifact:
    """The artifact that the path names.

    Raises:
        NotFound: there is none.
    """
    execution_id, artifact_id = paths.execution_id_of(call.request), paths.id_of(call.request, "artifactId")
    return await artifacts.get(connection, execution_id, artifact_id)


async def looked_at(call: Call[Any, Any], artifact: Artifact) -> wire.Artifact:
    """As it is printed, with the parts that are missing."""
    if artifact.object_name is not None:
        return printed(call, artifact)
    received = await call.services.blobs.parts(artifact.artifact_id)
    return wire.printed(artifact, None, artifact.missing(received))


def printed(call: Call[Any, Any], artifact: Artifact) -> wire.Artifact:
    """As it is printed once it is there, with a URL that works for a while."""
    return wire.printed(artifact, _url(call, artifact))


def _url(call: Call[Any, Any], artifact: Artifact) -> str:
    base = paths.base_url(call.request, call.services.settings.public_url)
    expires = int(call.now.timestamp()) + URL_SECONDS
    signature = signed_urls.artifact_signature(
        call.services.secret_key, artifact.execution_id, artifact.artifact_id, expires
    )
    path = f"/artifacts/{artifact.execution_id}/files/{artifact.artifact_id}"
    return f"{base}{path}?expires={expires}&signature={signature}"
