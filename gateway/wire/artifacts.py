"""Artifacts on the wire: how files are sent, listed and fetched."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.wire.executions import Cursor
from gateway.wire.listings import FileName, ShardNumber
from gateway.wire.moments import PrintedMoment
from orchestrator.artifacts import kinds, model, names
from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import PART_BYTES
from orchestrator.timestamps import to_text, to_text_or_none

Name = Annotated[str, Meta(min_length=1, max_length=names.LONGEST, description="a relative path", examples=["a.png"])]
Title = Annotated[str, Meta(min_length=1, max_length=2000)]
Attempt = Annotated[int, Meta(ge=1, le=1000, description="which try of the test, from 1")]
ShardText = Annotated[str, Meta(min_length=1, max_length=16)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, in hex")]
Size = Annotated[int, Meta(ge=1, le=model.MOST_BYTES, description="bytes")]
ArtifactPageSize = Annotated[int, Meta(ge=1, le=1000)]


class ArtifactBinding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a file is of: a shard, and maybe one try of one of its tests. Without a kind, its name tells that."""

    shard_id: ShardText
    name: Name
    kind: Kind | None = None
    test: Title | None = None
    file: FileName | None = None
    attempt: Attempt | None = None


class ArtifactUpload(ArtifactBinding, frozen=True, kw_only=True):
    """A file that is sent as the body; with its hash, bytes that were damaged on the way are refused."""

    sha256: Sha256 | None = None


class NewArtifact(ArtifactBinding, frozen=True, kw_only=True):
    """A file that will be sent in parts."""

    size: Size
    sha256: Sha256


class ArtifactParts(msgspec.Struct, frozen=True, rename="camel"):
    """What is still to be sent: parts of `partBytes` each, the last one shorter, numbered from 1."""

    part_bytes: int
    number: int
    missing: list[int]


class Artifact(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file of a shard.

    Attributes:
        url: works without a header for 10 minutes; null while its bytes are still coming.
        parts: while its bytes are still coming; else null.
    """

    artifact_id: str
    execution_id: str
    shard_id: str
    kind: Kind
    name: str
    content_type: str
    size: int
    sha256: str
    test: str | None
    file: str | None
    attempt: int | None
    status: Literal["uploading", "stored"]
    created_at: PrintedMoment
    stored_at: PrintedMoment | None
    url: str | None
    parts: ArtifactParts | None


class ArtifactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which artifacts to list."""

    shard: ShardNumber | None = None
    kind: Kind | None = None
    test: Title | None = None
    file: FileName | None = None
    attempt: Attempt | None = None
    limit: ArtifactPageSize = 100
    cursor: Cursor | None = None


class ArtifactPage(msgspec.Struct, frozen=True, rename="camel"):
    """Artifacts in the order they came."""

    artifacts: list[Artifact]
    next_cursor: str | None


class PartReceived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a part: it is stored."""

    artifact_id: str
    part: int
    size: int


class ArtifactDeleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a deletion."""

    artifact_id: str
    status: Literal["deleted"] = "deleted"
    deleted_at: PrintedMoment


class FileQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is fetched: with `expires` and `signature` of its URL instead of a token; `download=1`: not shown."""

    expires: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    signature: Annotated[str, Meta(max_length=100)] | None = None
    download: bool = False


def printed(artifact: model.Artifact, url: str | None, missing: Sequence[int] = ()) -> Artifact:
    """As it is printed wherever it is."""
    is_stored = artifact.object_name is not None
    return Artifact(
        artifact_id=artifact.artifact_id,
        execution_id=artifact.execution_id,
        shard_id=artifact.shard_id,
        kind=artifact.kind,
        name=artifact.name,
        content_type=kinds.content_type(artifact.name),
        size=artifact.size,
        sha256=artifact.sha256.hex(),
        test=artifact.test,
        file=artifact.file,
        attempt=artifact.attempt,
        status="stored" if is_stored else "uploading",
        created_at=to_text(artifact.created_at),
        stored_at=to_text_or_none(artifact.stored_at),
        url=url,
        parts=None if is_stored else ArtifactParts(PART_BYTES, artifact.parts, list(missing)),
    )
