"""Reports, logs and artifacts of an execution, as programs read them."""

import msgspec

from gateway.wire.artifacts import Artifact
from gateway.wire.executions import ExecutionState, ShardResult
from gateway.wire.listings import Test
from gateway.wire.results import Artifacts
from orchestrator.executions.model import TestStatus
from storage.executions import TestFilter

ONLY_FAILED = TestFilter(status=TestStatus.FAILED)


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An execution, its failed tests (the first 1,000) and its slowest."""

    execution: ExecutionState
    failed_tests: list[Test]
    slowest_tests: list[Test]


class ShardReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A shard and its tests (the first 1,000)."""

    execution_id: str
    shard: ShardResult
    tests: list[Test]


class ShardLogs(msgspec.Struct, frozen=True, rename="camel"):
    """Names of logs as runners told them, by shard id; and the logs that were uploaded.

    Attributes:
        files: the first 1,000 of them.
        has_more_files: `GET /api/executions/{id}/artifacts` has all, page by page.
    """

    execution_id: str
    shards: dict[str, list[str]]
    files: list[Artifact]
    has_more_files: bool = False


class ShardArtifacts(msgspec.Struct, frozen=True, rename="camel"):
    """Names of artifacts as runners told them, by shard id and kind; and files, as in `ShardLogs`."""

    execution_id: str
    shards: dict[str, Artifacts]
    files: list[Artifact]
    has_more_files: bool = False


def stored_artifacts(text: str | None) -> Artifacts:
    """What `results.artifacts_text` wrote."""
    return Artifacts() if text is None else msgspec.json.decode(text, type=Artifacts)
