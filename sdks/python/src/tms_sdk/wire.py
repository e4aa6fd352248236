"""The shapes of the API's answers, for type checkers; at run time each is a plain dict.

Source: `tms-integration-api.md`, contract rows X-006, X-018 to X-023, X-027 and X-052; of reports, `docs/formats.md`;
of gates, `docs/history.md`; of files, `docs/artifacts.md`; of plans and leases, `docs/runners.md`.
"""

from typing import Any, Literal, NotRequired, TypedDict

from tms_sdk.records import Counters

SubmissionStatus = Literal["completed", "failed", "error"]
Mode = Literal["static", "queue"]
UnitOrder = Literal["duration", "failedFirst"]


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
    plan: NotRequired[dict[str, Any]]


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


class Artifact(TypedDict):
    """A file of a shard; `url` works without a header for some minutes."""

    artifactId: str
    executionId: str
    shardId: str
    kind: Literal["screenshots", "videos", "traces", "logs"]
    name: str
    contentType: str
    size: int
    sha256: str
    test: str | None
    file: str | None
    attempt: int | None
    status: Literal["uploading", "stored"]
    url: str | None


class FileAnswer(TypedDict):
    """What became of one file of `POST /api/executions/{id}/reports`.

    `format` is junit, ctrf, or None where it is neither; `error` says why and where a file was rejected; `warnings`
    name what was left out of account.
    """

    file: str
    format: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    tests: int
    submissionId: NotRequired[str]
    error: NotRequired[str]
    warnings: NotRequired[list[str]]


class StoredReports(TypedDict):
    """The answer of `POST /api/executions/{id}/reports`; `files` are in the order they were sent."""

    executionId: str
    shardId: str
    submissionId: str
    processedAt: str
    results: Counters
    files: list[FileAnswer]


class NamedTest(TypedDict):
    """A test over all executions."""

    file: str | None
    title: str
    testId: str


class RuleFinding(TypedDict):
    """What one rule of a gate says; `value` is None where there is nothing to compare with, which passes.

    `tests` are the first of `testsTotal`; `unlisted` were counted besides; `parts` are shards.
    """

    rule: str
    value: float | None
    percent: bool
    passed: bool
    tests: list[NamedTest]
    testsTotal: int
    unlisted: int
    parts: list[str]


class ComparedWith(TypedDict):
    """The former executions of a branch, newest first."""

    branch: str | None
    executionIds: list[str]


class GateVerdict(TypedDict):
    """The answer of `GET /api/executions/{id}/gate`; pending, it has nothing else."""

    executionId: str
    verdict: Literal["passed", "failed", "pending"]
    rules: list[RuleFinding]
    comparedWith: ComparedWith | None
    quarantined: list[NamedTest]


Order = Literal["continue", "abandon", "cancel"]


class TestName(TypedDict):
    """A test of a plan."""

    file: str
    title: str


class Differs(TypedDict):
    """How a manifest differs from the plan; of the tests, the first 100."""

    missing: int
    unexpected: int
    missingTests: list[TestName]
    unexpectedTests: list[TestName]


class Plan(TypedDict):
    """The answer of `PUT` and `GET /api/executions/{id}/plan`; durations are in milliseconds.

    `quarantined` are the first 1,000 of the planned tests whose failures do not count.
    """

    executionId: str
    mode: Mode
    createdAt: str
    tests: int
    units: int
    knownTests: int
    expectedDuration: float
    shards: list[dict[str, Any]]
    differs: NotRequired[Differs | None]
    quarantined: NotRequired[list[TestName]]


class ClaimedTest(TypedDict):
    """A test to run; `id` is the runner's own name of it."""

    file: str
    title: str
    id: NotRequired[str]
    expectedDuration: NotRequired[float]
    quarantined: NotRequired[bool]


class Claim(TypedDict):
    """The answer of `POST /api/executions/{id}/claims`. In all states but `leased` there is no lease and no test."""

    state: Literal["leased", "wait", "done", "cancelled"]
    leaseId: str | None
    shardId: str | None
    leaseSeconds: int | None
    tests: list[ClaimedTest]
    remaining: int
    retryAfter: float | None
    reason: str | None


class Heartbeat(TypedDict):
    """The answer of `POST /api/executions/{id}/claims/{lease}/heartbeat`."""

    leaseId: str
    expiresAt: str | None
    order: Order
    reason: str | None


class HandedBack(TypedDict):
    """The answer of `DELETE /api/executions/{id}/claims/{lease}`.

    How many tests others get, and how many other runners hold leases now.
    """

    leaseId: str
    returned: int
    others: NotRequired[int]


class Streamed(TypedDict):
    """The answer of `POST /api/executions/{id}/shards/{shard}/tests`; `records` are in the order they were sent."""

    accepted: int
    duplicates: int
    late: int
    rejected: int
    records: list[dict[str, Any]]
    order: Order
    expiresAt: str | None
