"""One artifact, and how a large one comes in parts."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec

from orchestrator.artifacts.kinds import Kind

PART_BYTES: Final = 8 * 1024 * 1024
"""Of every part but the last. What is smaller may as well come at once."""

MOST_BYTES: Final = 5 * 1024**3
"""More than this no setting allows: S3 takes no larger object without another way to write it."""

MOST_ARTIFACTS: Final = 10_000
"""Of one execution."""

UNFINISHED_HOURS: Final = 24
"""So long after its beginning, an upload that did not end is forgotten."""

URL_SECONDS: Final = 600
"""So long a URL works that needs no header."""

_IDENTITY_BYTES = 16


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a shard.

    Attributes:
        name: a relative path, unique in nothing.
        size: in bytes.
        sha256: of its content.
        test, file: the title of the test it is of, and that test's file; None where it is of the shard as a whole.
        attempt: which try of the test it is of, from 1.
        object_name: what the store calls its bytes, which other artifacts may share; None while they are coming.
        stored_at: when they were all there.
    """

    artifact_id: str
    tenant_id: int
    execution_id: str
    shard_id: str
    kind: Kind
    name: str
    size: int
    sha256: bytes
    test: str | None = None
    file: str | None = None
    attempt: int | None = None
    created_at: datetime
    object_name: str | None = None
    stored_at: datetime | None = None

    @property
    def identity(self) -> bytes:
        """What makes it the same as one that was sent before: everything but when."""
        parts = (self.shard_id, self.kind, self.name, self.size, self.sha256.hex(), self.test, self.file, self.attempt)
        return blake2b(msgspec.json.encode(parts), digest_size=_IDENTITY_BYTES).digest()

    @property
    def parts(self) -> int:
        """How many it comes in."""
        return -(-self.size // PART_BYTES)

    def part_bytes(self, number: int) -> int | None:
        """The length of a part, numbered from 1; None if there is no such part."""
        if not 1 <= number <= self.parts:
            return None
        return min(PART_BYTES, self.size - (number - 1) * PART_BYTES)

    def missing(self, received: Iterable[int]) -> list[int]:
        """The numbers of the parts that are not among those received."""
        return sorted(set(range(1, self.parts + 1)).difference(received))
