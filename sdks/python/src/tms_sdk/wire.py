"""The shapes of the API's answers, for type checkers; at run time each is a plain dict.

Source: `tms-integration-api.md`, contract rows X-006, X-018 to X-023, X-027 and X-052.
"""

from typing import Any, Literal, TypedDict

from tms_sdk.records import Counters

SubmissionStatus = Literal["completed", "failed", "error"]


class CreatedExecution(TypedDict):
    """The answer of `POST /api/executions`. `webhookToken` is shown this once."""

    executionId: str
    status: str
    createdAt: str
    configuration: dict[str, Any]
    webhookUrl: str
    webhookToken: str


class Progress(TypedDict):
    """How far an execution is; `duration` is in milliseconds, dates are None until they happen."""

    startedAt: str | None
    completedAt: str | None
    duration: int | None
    shardsCompleted: int
    totalShards: int


class ShardResult(TypedDict):
    """One shard of an execution."""

    shardId: str
    status: str
    results: Counters


class Execution(TypedDict):
    """The answer of `GET /api/executions/{id}`."""

    executionId: str
    status: str
    progress: Progress
    results: Counters
    shardResults: list[ShardResult]
    artifacts: dict[str, str]


class CancelledExecution(TypedDict):
    """The answer of `DELETE /api/executions/{id}`."""

    executionId: str
    status: str
    cancelledAt: str
    reason: str


class Receipt(TypedDict):
    """The answer of `POST /api/results`."""

    submissionId: str
    executionId: str
    shardId: str
    status: str
    processedAt: str
    summary: dict[str, int]
