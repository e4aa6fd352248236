"""Jobs on the wire: how they are registered, run and printed."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.wire.executions import WEEK_MS, Cursor, PageSize
from gateway.wire.moments import PrintedMoment
from orchestrator.jobs.archives import Summary
from orchestrator.jobs.model import Definition, Job, Parameter, Resources, ShardState
from orchestrator.jobs.template import LONGEST_VALUE
from orchestrator.timestamps import to_text, to_text_or_none
from storage.job_shards import ShardRun

MOST_ARGUMENTS = 200
LONGEST_TEXT = 4096
LONGEST_VARIABLE = 32 * 1024
MOST_CPUS = 10_000

Argument = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Value = Annotated[str, Meta(max_length=LONGEST_VALUE)]
Amount = Annotated[float, Meta(gt=0, le=MOST_CPUS)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="`archive` of an upload")]
Variable = Annotated[str, Meta(max_length=LONGEST_VARIABLE)]


class NewParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What whoever runs the job may choose; `pattern` is a regular expression without groups for the whole text."""

    pattern: Annotated[str, Meta(min_length=1, max_length=LONGEST_VALUE)]
    default: Value | None = None


class NewResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each shard takes of a node: cores, bytes of memory, and resources that the cluster's operator has named."""

    cpus: Annotated[float, Meta(ge=0, le=MOST_CPUS)] | None = None
    memory: Annotated[int, Meta(ge=1, le=2**50, description="bytes")] | None = None
    custom: dict[str, Amount] | None = None

    def settled(self) -> Resources:
        """With the defaults filled in."""
        default = Resources()
        cpus = default.cpus if self.cpus is None else self.cpus
        return Resources(cpus=cpus, memory=self.memory, custom=self.custom or {})


class Source(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the command is run in: an uploaded archive, unpacked for each attempt, or a folder that all nodes have."""

    archive: Digest | None = None
    folder: Text | None = None


class PutJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as it is to be. `environment`: null keeps a variable's value; `timeout` is for one attempt of a shard."""

    command: Annotated[list[Argument], Meta(min_length=1, max_length=MOST_ARGUMENTS)]
    parameters: dict[str, NewParameter] | None = None
    environment: dict[str, Variable | None] | None = None
    resources: NewResources | None = None
    reports: Text | None = None
    timeout: Annotated[int, Meta(ge=1, le=WEEK_MS, description="milliseconds")] | None = None
    source: Source | None = None


class PrintedParameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter; one without a default is required."""

    pattern: str
    default: str | UnsetType = UNSET


class RegisteredJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job in its newest version; of the environment only the names are shown."""

    name: str
    version: int
    command: tuple[str, ...]
    parameters: dict[str, PrintedParameter]
    environment: tuple[str, ...]
    resources: Resources
    reports: str | None
    timeout: int | None
    source: Source | None
    created_at: PrintedMoment
    updated_at: PrintedMoment
    created_by: str


class NewJob(RegisteredJob, frozen=True, kw_only=True, rename="camel"):
    """A job in its first version."""


class JobDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a deletion."""

    name: str
    deleted_at: PrintedMoment


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the list."""

    limit: PageSize = 50
    cursor: Cursor | None = None


class JobPage(msgspec.Struct, frozen=True, rename="camel"):
    """Jobs by name."""

    jobs: list[RegisteredJob]
    next_cursor: str | None


class ArchiveKept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An archive that jobs may have as their source; `archive` is the SHA-256 of its bytes."""

    archive: str
    bytes: int
    files: int
    unpacked_bytes: int


class ManagedShard(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a shard is run; of the attempt that is or was the last. `exitCode` is negative for a signal's number."""

    shard_id: str
    state: ShardState
    attempt: int
    node: str | None
    started_at: PrintedMoment | None
    ended_at: PrintedMoment | None
    exit_code: int | None
    reason: str | None


class JobExecution(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an execution runs, and how its shards are run."""

    execution_id: str
    name: str
    version: int
    parameters: dict[str, str]
    shards: list[ManagedShard]


class OutputQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many bytes of the output the caller has already."""

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0


def printed(job: Job) -> RegisteredJob:
    """As it is printed wherever it is."""
    definition = job.definition
    return RegisteredJob(
        name=job.name,
        version=job.version,
        command=definition.command,
        parameters={name: _parameter(one) for name, one in definition.parameters.items()},
        environment=definition.variables,
        resources=definition.resources,
        reports=definition.reports,
        timeout=definition.timeout_ms,
        source=_source(definition),
        created_at=to_text(job.created_at),
        updated_at=to_text(job.updated_at),
        created_by=job.created_by,
    )


def printed_new(job: Job) -> NewJob:
    """As its registration answers."""
    return NewJob(**msgspec.structs.asdict(printed(job)))


def _parameter(parameter: Parameter) -> PrintedParameter:
    return PrintedParameter(parameter.pattern, UNSET if parameter.default is None else parameter.default)


def _source(definition: Definition) -> Source | None:
    if definition.archive is None and definition.folder is None:
        return None
    return Source(archive=definition.archive, folder=definition.folder)


def archive(about: Summary, content: bytes) -> ArchiveKept:
    """As its upload answers."""
    return ArchiveKept(archive=about.digest, bytes=len(content), files=about.files, unpacked_bytes=about.unpacked_bytes)


def shard(one: ShardRun) -> ManagedShard:
    """As it is printed."""
    return ManagedShard(
        shard_id=str(one.shard),
        state=one.state,
        attempt=one.attempt,
        node=one.node,
        started_at=to_text_or_none(one.started_at),
        ended_at=to_text_or_none(one.ended_at),
        exit_code=one.exit_code,
        reason=one.reason,
    )
