"""What a job is: a command and all that it needs, as an administrator registered it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

MANAGED = "managed"
"""The provider of executions that run a job."""

OUTPUT_BYTES = 16 * 1024 * 1024
"""What is kept of a shard's output, over all of its attempts."""

OUTPUT_PIECE_BYTES = 64 * 1024
"""No piece of it is longer by more than a line."""


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What whoever runs a job may choose: a text that `pattern` matches as a whole; required without a default."""

    pattern: str
    default: str | None = None


class Resources(msgspec.Struct, frozen=True):
    """What a shard takes of a node: cores, bytes of memory, and resources that the cluster's operator has named."""

    cpus: float = 1.0
    memory: int | None = None
    custom: dict[str, float] = {}

    def wanted(self) -> dict[str, float]:
        """Amounts by the names that the cluster has for them."""
        memory = {} if self.memory is None else {"memory": float(self.memory)}
        return {"CPU": self.cpus} | memory | self.custom


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a job, but for its environment, which is kept sealed.

    Attributes:
        command: its arguments, with placeholders (`template`).
        parameters: by name.
        variables: names of its environment variables.
        reports: a glob of reports to be read when the command has ended; with placeholders.
        timeout_ms: for one attempt of a shard; None: for as long as the execution may run.
        archive: digest of the archive that the command is run in.
        folder: the folder on the nodes that it is run in.
    """

    command: tuple[str, ...]
    parameters: dict[str, Parameter] = {}
    variables: tuple[str, ...] = ()
    resources: Resources = Resources()
    reports: str | None = None
    timeout_ms: int | None = None
    archive: str | None = None
    folder: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands in its newest version.

    Attributes:
        created_by: the id of the token that made this version.
    """

    job_id: str
    tenant_id: int
    name: str
    version: int
    definition: Definition
    created_at: datetime
    updated_at: datetime
    created_by: str


class JobRun(msgspec.Struct, frozen=True):
    """What an execution runs: one version of a job, for good, and with which parameters."""

    job_id: str
    version: int
    parameters: Mapping[str, str]


class ShardState(StrEnum):
    """`waiting → placed → running → ended`; one whose process died is `waiting` again, or `lost` and soon ended."""

    WAITING = "waiting"
    PLACED = "placed"
    RUNNING = "running"
    LOST = "lost"
    ENDED = "ended"
