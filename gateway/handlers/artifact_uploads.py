"""Large files in parts, for runners on a bad network: begin, send the parts in any order and as often as need be, end.

Whoever begins the same upload again, after a crash or on another machine, gets the one that was begun before, and is
told what is missing.
"""

import re
from collections.abc import AsyncIterator

from gateway import intake
from gateway.calls import Call
from gateway.handlers.artifacts import drafted, looked_at, of_path, printed
from gateway.middleware import streamed
from gateway.services import Services
from gateway.wire import artifacts as wire
from orchestrator.artifacts import kinds
from orchestrator.artifacts.model import Artifact
from orchestrator.errors import Conflict, FieldError, NotFound, TooLarge, ValidationFailed
from storage import artifacts

_NAMED_PARTS = 20
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


async def begin(call: Call[wire.NewArtifact, None]) -> wire.Artifact:
    """Begin an upload, or find the one that was begun; where the tenant has the bytes already, it is done.

    Raises:
        ValidationFailed: its name or kind cannot be, or the bytes that are there are not what the name says.
        NotFound: there is no such execution or shard.
        TooLarge: it is over a limit.
    """
    body, settings = call.body, call.services.settings
    if body.size > settings.artifact_bytes:
        raise TooLarge(f"The file is larger than {settings.artifact_bytes} bytes, the most this server takes")
    draft = await drafted(call, body, size=body.size, sha256=bytes.fromhex(body.sha256))
    async with call.services.reader.tenant(draft.tenant_id) as connection:
        known = await artifacts.same_bytes(connection, draft)
    if known is not None:
        # They were sent under another name, and may not be what this one says.
        head = call.services.blobs.read(known, 0, min(kinds.SIGNATURE_BYTES, draft.size))
        kinds.check_content(draft.name, b"".join([window async for window in head]))
    async with call.services.reader.tenant(draft.tenant_id, write=True) as connection:
        begun = await artifacts.begin(connection, draft, known, call.now, most_bytes=settings.artifact_execution_bytes)
    return await looked_at(call, begun)


async def part(call: Call[None, None]) -> wire.PartReceived:
    """Take one part; sent again, it replaces the former.

    Raises:
        NotFound: there is no such upload, or no part of this number in it.
        Conflict: the file is there already.
        ValidationFailed: the part has another length than it must have.
    """
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        artifact = await of_path(call, connection)
    text = call.request.match_info["part"]
    number = int(text) if _NUMBER.fullmatch(text) else 0
    length = artifact.part_bytes(number)
    if length is None:
        raise NotFound(f"{artifact.artifact_id} has the parts 1 to {artifact.parts}")
    if artifact.object_name is not None:
        raise Conflict(f"{artifact.artifact_id} has all its parts already")
    streamed.check(call.request, length)
    content = b"".join([piece async for piece in streamed.pieces(call.request, length)])
    if len(content) != length:
        raise ValidationFailed(FieldError("body", f"Part {number} must have {length} bytes, not {len(content)}"))
    await call.services.blobs.put_whole(call.services.blobs.part_name(artifact.artifact_id, number), content)
    return wire.PartReceived(artifact_id=artifact.artifact_id, part=number, size=length)


async def complete(call: Call[None, None]) -> wire.Artifact:
    """Put the parts together; done before, it answers the same again.

    Raises:
        Conflict: parts are missing.
        ValidationFailed: the whole has another hash than was said, or is not what its name says; the upload is void.
    """
    services = call.services
    async with services.reader.tenant(call.principal.tenant_id) as connection:
        artifact = await of_path(call, connection)
    if artifact.object_name is not None:
        return printed(call, artifact)
    missing = artifact.missing(await services.blobs.parts(artifact.artifact_id))
    if missing:
        raise Conflict(
            f"{len(missing)} of {artifact.parts} parts are missing",
            tuple(FieldError(f"parts[{number}]", "Is missing") for number in missing[:_NAMED_PARTS]),
        )
    try:
        kept = await intake.take(services, artifact, _together(services, artifact), expected=artifact.sha256)
    except ValidationFailed:
        async with services.reader.tenant(artifact.tenant_id, write=True) as connection:
            await artifacts.delete(connection, artifact.execution_id, artifact.artifact_id)
        await intake.clear_away(services.blobs.delete_parts(artifact.artifact_id))
        raise
    await intake.clear_away(services.blobs.delete_parts(artifact.artifact_id))
    return printed(call, kept)


async def _together(services: Services, artifact: Artifact) -> AsyncIterator[bytes]:
    for number in range(1, artifact.parts + 1):
        name = services.blobs.part_name(artifact.artifact_id, number)
        async for window in services.blobs.read(name, 0, artifact.part_bytes(number) or 0):
            yield window
