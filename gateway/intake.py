"""Takes the bytes of an artifact: measured and checked as they pass to the store, and written down once all are there.

Bytes first, row after. What is refused leaves nothing; what a crash interrupts leaves bytes without a row, which the
sweep finds (`storage.artifact_sweep`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import structlog

from gateway.services import Services
from orchestrator.artifacts import kinds
from orchestrator.artifacts.model import Artifact
from orchestrator.errors import FieldError, TMSError, Unavailable, ValidationFailed
from storage import artifacts

log = structlog.get_logger(__name__)

# Longer pieces are hashed on a thread, so that others need not wait.
_LARGE = 1024 * 1024


async def take(
    services: Services, draft: Artifact, pieces: AsyncIterator[bytes], *, expected: bytes | None
) -> Artifact:
    """Store the bytes of an artifact.

    Args:
        services: where they go.
        draft: the artifact; its size and hash are found out.
        pieces: its bytes.
        expected: the SHA-256 that they are to have; None if nobody said.

    Returns:
        The artifact as it is stored: the same one as before where the same file was sent again.

    Raises:
        ValidationFailed: they have another hash, or are not what the name says.
        TooLarge: the execution has no room for them.
        Unavailable: the store or the database is away.
        TMSError: whatever `pieces` raises.
    """
    passing = _Passing(draft.name, pieces)
    now = datetime.now(UTC)
    object_name = services.blobs.new_name(now)
    await services.blobs.put(object_name, passing.checked())
    new = msgspec.structs.replace(draft, size=passing.size, sha256=passing.digest)
    try:
        if expected not in {None, passing.digest}:
            found = FieldError("sha256", f"The bytes that came have {passing.digest.hex()}")
            raise ValidationFailed(found, message="These are not the bytes that were announced", code="WRONG_HASH")
        async with services.reader.tenant(draft.tenant_id, write=True) as connection:
            kept = await artifacts.keep(
                connection, new, object_name, now, most_bytes=services.settings.artifact_execution_bytes
            )
    except Unavailable:
        raise  # the row may be committed all the same: if it is not, the sweep finds the bytes
    except TMSError:
        await clear_away(services.blobs.delete([object_name]))
        raise
    if kept.object_name != object_name:
        await clear_away(services.blobs.delete([object_name]))
    return kept


async def clear_away(deletion: Awaitable[None]) -> None:
    """Delete bytes that nobody needs; where that fails, the sweep does it later."""
    try:
        await deletion
    except Unavailable as error:
        log.warning("bytes are left to the sweep", error=error.message)


class _Passing:
    """Bytes on their way, and what is known of them when all have passed."""

    def __init__(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        self._name = name
        self._pieces = pieces
        self._hash = sha256()
        self.size = 0

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    async def checked(self) -> AsyncIterator[bytes]:
        """The same pieces; the first, which is longer than any signature, tells what they are."""
        async for piece in self._pieces:
            if not self.size:
                kinds.check_content(self._name, piece[: kinds.SIGNATURE_BYTES])
            self.size += len(piece)
            if len(piece) > _LARGE:
                await asyncio.to_thread(self._hash.update, piece)
            else:
                self._hash.update(piece)
            yield piece
        if not self.size:
            kinds.check_content(self._name, b"")
