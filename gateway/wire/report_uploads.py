"""Reports of test tools, uploaded as the results of a shard: one answer for each file."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.wire.errors import ErrorBody
from gateway.wire.moments import PrintedMoment
from gateway.wire.results import RunnerId
from orchestrator.executions.formats.report import Format
from orchestrator.executions.model import Totals


class UploadQuery(msgspec.Struct, frozen=True, rename="camel"):
    """Whose results they are; with the exit code of the command that wrote them, one that broke ends in `error`."""

    shard_id: Annotated[str, Meta(min_length=1, max_length=16)]
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None = None
    runner_id: RunnerId | None = None


class FileStatus(StrEnum):
    """What became of a file."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class FileAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of one file.

    Attributes:
        file: its name, as it was sent.
        format: null where it is neither.
        tests: how many it tells of; none of a rejected file.
        submission_id: that its tests are in.
        error: why it was rejected, and where in the file that is.
        warnings: what in it was left out of account.
    """

    file: str
    format: Format | None
    status: FileStatus
    tests: int
    submission_id: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


class ReportsAccepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer where all files were read: they are one submission of the shard."""

    execution_id: str
    shard_id: str
    submission_id: str
    processed_at: PrintedMoment
    results: Totals
    files: list[FileAnswer]


class ReportsRejected(ErrorBody, frozen=True, kw_only=True):
    """The answer where a file could not be read, with `files`, or the request was wrong: nothing is stored."""

    files: list[FileAnswer] = msgspec.field(default_factory=list)
