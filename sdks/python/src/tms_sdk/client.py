"""The API's client: a method for each documented route that runners and their people need."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from tms_sdk import artifacts
from tms_sdk.connection import Connection
from tms_sdk.errors import UsageError
from tms_sdk.forms import ReportForm
from tms_sdk.records import timestamp
from tms_sdk.retry import Retry
from tms_sdk.wire import (
    Artifact,
    CancelledExecution,
    Claim,
    CreatedExecution,
    Execution,
    GateVerdict,
    HandedBack,
    Heartbeat,
    Plan,
    Receipt,
    StoredReports,
    Streamed,
    SubmissionStatus,
)


class TMSClient:
    """A connection to one TMS server, safe to share between threads.

    Every POST carries an `Idempotency-Key` that stays the same over its retries, so a request whose answer was lost is
    never carried out twice (X-085). Every method raises `ApiError` where the server refuses, `Unreachable` where it
    does not answer.

    Args:
        api_token: the API token, sent as bearer.
        base_url: the server's address, with or without `/api` at its end.
        timeout: seconds to wait for one answer.
        retry: how stubborn to be on 429, 500, 502, 503, 504 and broken connections.
        sleep: waits so many seconds between tries; what it raises ends the request.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        api_token: str,
        base_url: str,
        *,
        timeout: float = 30.0,
        retry: Retry | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(
            api_token, base_url, timeout=timeout, retry=retry or Retry(), sleep=sleep, clock=clock
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMSClient({self.base_url!r})"

    @property
    def base_url(self) -> str:
        """The address that all routes hang under."""
        return self._connection.base_url

    def close(self) -> None:
        """Close the connections. The client cannot be used after it."""
        self._connection.close()

    def create_execution(self, config: Mapping[str, Any]) -> CreatedExecution:
        """Create an execution.

        `config` needs `testSuite` (smoke, regression, api, ui, all), `environment` (dev, staging, production) and
        `provider`; `triggerSource`, `configuration` (shards, timeout in ms, …) and `metadata` are optional.
        """
        answer = self._connection.call(
            "POST", "/executions", body=config, expect=("executionId", "webhookUrl", "webhookToken")
        )
        return cast("CreatedExecution", answer)

    def get_execution(self, execution_id: str) -> Execution:
        """Return an execution's status, progress, totals and shards."""
        answer = self._connection.call("GET", _path(execution_id), expect=("executionId", "status"))
        return cast("Execution", answer)

    def list_executions(self, **filters: str | int) -> dict[str, Any]:
        """Return one page of the caller's executions; `filters` are the route's query parameters."""
        return self._connection.call("GET", "/executions", query=filters)

    def cancel_execution(self, execution_id: str, reason: str | None = None) -> CancelledExecution:
        """Cancel a running execution. One that has ended already is an `ApiError` with status 409."""
        body = None if reason is None else {"reason": reason}
        path = _path(execution_id)
        answer = self._connection.call("DELETE", path, body=body, expect=("executionId", "status"))
        return cast("CancelledExecution", answer)

    def tests(self, execution_id: str, **filters: str | int) -> dict[str, Any]:
        """Return one page of an execution's single test results; `filters` are the route's query parameters."""
        return self._connection.call("GET", _path(execution_id, "tests"), query=filters)

    def events(self, execution_id: str, after: int = 0) -> dict[str, Any]:
        """Return an execution's events with a number above `after`, oldest first."""
        return self._connection.call("GET", _path(execution_id, "events"), query={"after": after})

    def gate(self, execution_id: str, **query: str) -> GateVerdict:
        """Judge an execution by rules; `query` may have `rules` and `baseline`. `pending` until it has ended."""
        answer = self._connection.call("GET", _path(execution_id, "gate"), query=query, expect=("verdict",))
        return cast("GateVerdict", answer)

    def submit_results(self, execution_id: str, shard_id: str, results: Mapping[str, Any]) -> Receipt:
        """Submit a shard's results; sent again for the same shard, they replace the former.

        `results` may have `summary` (total, passed, failed, skipped, flaky), `tests`, `startTime`, `endTime`,
        `duration` (ms), `artifacts`, `provider` and further `metadata`. `status` is `failed` where `failed` or the
        summary's is above 0, else `completed`; give `status` to say `error`.
        """
        summary = results.get("summary") or {}
        failures = results.get("failed") or summary.get("failed") or 0
        payload = {
            "executionId": execution_id,
            "shardId": shard_id,
            "provider": results.get("provider", "python-runner"),
            "status": results.get("status") or ("failed" if failures > 0 else "completed"),
            "results": summary,
            "tests": results.get("tests", []),
            "metadata": {
                **results.get("metadata", {}),
                "startTime": results.get("startTime"),
                "endTime": results.get("endTime"),
                "duration": results.get("duration"),
            },
        }
        if "artifacts" in results:
            payload["artifacts"] = results["artifacts"]
        return cast("Receipt", self._connection.call("POST", "/results", body=payload, expect=("submissionId",)))

    def put_plan(self, execution_id: str, plan: Mapping[str, Any]) -> Plan:
        """Say which tests will be run, and return the plan: of the first asker, the same for all.

        `plan` has `mode` (static or queue) and `tests` (`file`, `title`, `id`, `labels`), and may have `sizes`,
        `order`, `splitFiles` and `rerunOf`; see docs/runners.md.
        """
        answer = self._connection.call("PUT", _path(execution_id, "plan"), body=plan, expect=("mode", "tests"))
        return cast("Plan", answer)

    def get_plan(self, execution_id: str) -> Plan:
        """Return an execution's plan, and how much of it has been reported."""
        return cast("Plan", self._connection.call("GET", _path(execution_id, "plan"), expect=("mode", "tests")))

    def claim(
        self,
        execution_id: str,
        runner_id: str,
        *,
        shard_id: str | None = None,
        done: str | None = None,
        ahead: bool = False,
    ) -> Claim:
        """Ask for tests to run.

        Args:
            execution_id: which has a plan.
            runner_id: names the caller, for as long as it lives.
            shard_id: the shard to work on; None leaves the choice to the server.
            done: the lease that has been worked off.
            ahead: whether the lease that the caller has, and has nearly worked off, may get more tests.
        """
        body = {"runnerId": runner_id, "shardId": shard_id, "done": done, "ahead": ahead or None}
        told = {name: value for name, value in body.items() if value is not None}
        answer = self._connection.call("POST", _path(execution_id, "claims"), body=told, expect=("state",))
        return cast("Claim", answer)

    def heartbeat(self, execution_id: str, lease_id: str, runner_id: str) -> Heartbeat:
        """Renew a lease, and be told whether to go on."""
        path = _path(execution_id, "claims", lease_id, "heartbeat")
        return cast("Heartbeat", self._connection.call("POST", path, body={"runnerId": runner_id}, expect=("order",)))

    def hand_back(self, execution_id: str, lease_id: str, runner_id: str) -> HandedBack:
        """Give up a lease: others get the tests of it that were not reported."""
        path = _path(execution_id, "claims", lease_id)
        answer = self._connection.call("DELETE", path, query={"runnerId": runner_id}, expect=("returned",))
        return cast("HandedBack", answer)

    def stream_tests(
        self,
        execution_id: str,
        shard_id: str,
        lease_id: str,
        runner_id: str,
        tests: Sequence[Mapping[str, Any]],
        *,
        key: str | None = None,
    ) -> Streamed:
        """Report 1 to 1,000 tests of a lease that have ended.

        `key` is the request's `Idempotency-Key`, for a caller that may send the same again in another process.
        """
        answer = self._connection.call(
            "POST",
            _path(execution_id, "shards", shard_id, "tests"),
            body={"leaseId": lease_id, "runnerId": runner_id, "tests": tests},
            expect=("accepted", "order"),
            key=key,
        )
        return cast("Streamed", answer)

    def close_shard(
        self,
        execution_id: str,
        shard_id: str,
        status: SubmissionStatus,
        *,
        runner_id: str,
        provider: str,
        metadata: Mapping[str, Any],
        key: str | None = None,
    ) -> Receipt:
        """End a shard whose tests were streamed; nothing ends where another runner has got it.

        `metadata` may have `startTime`, `endTime` and `duration` (ms).
        """
        body = {
            "executionId": execution_id,
            "shardId": shard_id,
            "runnerId": runner_id,
            "provider": provider,
            "status": status,
            "metadata": metadata,
        }
        return cast("Receipt", self._connection.call("POST", "/results", body=body, expect=("submissionId",), key=key))

    def upload_reports(self, execution_id: str, shard_id: str, files: Sequence[Path]) -> StoredReports:
        """Send reports in JUnit XML or CTRF JSON, which the server reads: together they are a shard's results.

        They end the shard and replace what it had before, as `submit_results` does. The files are read while they are
        sent. If one cannot be read, nothing is stored.

        Raises:
            ReportError: a file cannot be opened, or changes while it is sent.
            ReportsRejected: the server cannot read a report; its `files` say which, where and why.
        """
        answer = self._connection.call(
            "POST",
            _path(execution_id, "reports"),
            body=ReportForm(files),
            query={"shardId": shard_id},
            expect=("submissionId", "results", "files"),
        )
        return cast("StoredReports", answer)

    def upload_artifact(self, execution_id: str, shard_id: str, path: Path, **about: str | int) -> Artifact:
        """Send a file that a shard left behind, such as a screenshot, a video, a trace or a log.

        The same file sent again is the same artifact. A large file goes in parts: after a failure, the same call sends
        only what the server does not have yet, in another process too.

        `about` may have `name`, what the file is to be called (by default, as its path), `kind` (screenshots, videos,
        traces, logs; by default, by its name), and of which test it is: the title as `test`, the test's `file`, and the
        `attempt` from 1.

        Raises:
            ReportError: the file cannot be read, or changes while it is sent.
        """
        binding = {"shardId": shard_id, "name": artifacts.name_of(path), **about}
        return artifacts.upload(self._connection.call, _path(execution_id), path, binding)

    def send_webhook(self, webhook_url: str, webhook_token: str, event: str, data: Mapping[str, Any]) -> None:
        """Tell an execution's event, such as `shard.started`, with the URL and token its creation returned.

        `data` carries the execution's id as `executionId`; the time told is now.
        """
        payload = {
            "event": event,
            "timestamp": timestamp(datetime.now(UTC)),
            "executionId": data.get("executionId"),
            "data": data,
        }
        self._connection.request("POST", webhook_url, webhook_token, body=payload)


def _path(execution_id: str, *segments: str) -> str:
    """Print a path under an execution."""
    return "/".join(["/executions", _segment(execution_id), *map(_segment, segments)])


def _segment(identifier: str) -> str:
    """Make an id safe as one segment of a path, whatever the caller was given as an id."""
    if not identifier or identifier in {".", ".."}:
        raise UsageError(f"Not an id: {identifier!r}")
    return quote(identifier, safe="")
