"""The API's client: documented methods, retries that cannot count anything twice, errors that say what to do."""

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote, urlsplit

import httpx

from tms_sdk import __version__, artifacts
from tms_sdk.errors import ApiError, Detail, ReportsRejected, Unreachable, UsageError
from tms_sdk.forms import ReportForm
from tms_sdk.records import timestamp
from tms_sdk.retry import RETRYABLE_STATUSES, Retry, retry_after_seconds
from tms_sdk.wire import Artifact, CancelledExecution, CreatedExecution, Execution, GateVerdict, Receipt, StoredReports

USER_AGENT = f"tms-sdk-python/{__version__}"


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
        self.api_token = usable_token(api_token)
        self.base_url = api_url(base_url)
        self._timeout = timeout
        self._retry = retry or Retry()
        self._sleep = sleep
        self._clock = clock
        self._http = httpx.Client(headers={"User-Agent": USER_AGENT, "Accept": "application/json"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMSClient({self.base_url!r})"

    def close(self) -> None:
        """Close the connections. The client cannot be used after it."""
        self._http.close()

    def create_execution(self, config: Mapping[str, Any]) -> CreatedExecution:
        """Create an execution.

        `config` needs `testSuite` (smoke, regression, api, ui, all), `environment` (dev, staging, production) and
        `provider`; `triggerSource`, `configuration` (shards, timeout in ms, …) and `metadata` are optional.
        """
        answer = self._call("POST", "/executions", body=config, expect=("executionId", "webhookUrl", "webhookToken"))
        return cast("CreatedExecution", answer)

    def get_execution(self, execution_id: str) -> Execution:
        """Return an execution's status, progress, totals and shards."""
        answer = self._call("GET", f"/executions/{_segment(execution_id)}", expect=("executionId", "status"))
        return cast("Execution", answer)

    def list_executions(self, **filters: str | int) -> dict[str, Any]:
        """Return one page of the caller's executions; `filters` are the route's query parameters."""
        return self._call("GET", "/executions", query=filters)

    def cancel_execution(self, execution_id: str, reason: str | None = None) -> CancelledExecution:
        """Cancel a running execution. One that has ended already is an `ApiError` with status 409."""
        body = None if reason is None else {"reason": reason}
        path = f"/executions/{_segment(execution_id)}"
        answer = self._call("DELETE", path, body=body, expect=("executionId", "status"))
        return cast("CancelledExecution", answer)

    def tests(self, execution_id: str, **filters: str | int) -> dict[str, Any]:
        """Return one page of an execution's single test results; `filters` are the route's query parameters."""
        return self._call("GET", f"/executions/{_segment(execution_id)}/tests", query=filters)

    def events(self, execution_id: str, after: int = 0) -> dict[str, Any]:
        """Return an execution's events with a number above `after`, oldest first."""
        return self._call("GET", f"/executions/{_segment(execution_id)}/events", query={"after": after})

    def gate(self, execution_id: str, **query: str) -> GateVerdict:
        """Judge an execution by rules; `query` may have `rules` and `baseline`. `pending` until it has ended."""
        answer = self._call("GET", f"/executions/{_segment(execution_id)}/gate", query=query, expect=("verdict",))
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
        return cast("Receipt", self._call("POST", "/results", body=payload, expect=("submissionId",)))

    def upload_reports(self, execution_id: str, shard_id: str, files: Sequence[Path]) -> StoredReports:
        """Send reports in JUnit XML or CTRF JSON, which the server reads: together they are a shard's results.

        They end the shard and replace what it had before, as `submit_results` does. The files are read while they are
        sent. If one cannot be read, nothing is stored.

        Raises:
            ReportError: a file cannot be opened, or changes while it is sent.
            ReportsRejected: the server cannot read a report; its `files` say which, where and why.
        """
        answer = self._call(
            "POST",
            f"/executions/{_segment(execution_id)}/reports",
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
        return artifacts.upload(self._call, f"/executions/{_segment(execution_id)}", path, binding)

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
        self._request("POST", webhook_url, webhook_token, body=payload)

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | ReportForm | bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        expect: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Call a route and return its answer, an object that has the keys of `expect`."""
        url = self.base_url + path
        answer = self._request(method, url, self.api_token, body=body, query=query)
        try:
            decoded = answer.json()
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict) or any(key not in decoded for key in expect):
            kind = answer.headers.get("content-type", "no content type")
            raise ApiError(
                answer.status_code,
                "UNREADABLE_ANSWER",
                f"{url} does not answer as a TMS server does ({kind}): is TMS_URL right?",
            )
        return decoded

    def _request(
        self,
        method: str,
        url: str,
        token: str,
        *,
        body: Mapping[str, Any] | ReportForm | bytes | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """Send one request until it is answered, and return the answer, which is a success."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        content = body if isinstance(body, ReportForm | bytes) else None
        if isinstance(body, ReportForm):
            headers |= body.headers
        elif isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        request = self._http.build_request(
            method, url, params=query or None, json=None if content is body else body, content=content, headers=headers
        )
        answer = self._send(request)
        if not answer.is_success:
            raise refusal(answer.status_code, answer.content, answer.headers.get("location"))
        return answer

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send a request, again and again as `Retry` says. The last answer is returned, whatever its status."""
        deadline = self._clock() + self._retry.total
        attempt = 0
        while True:
            attempt += 1
            retry_after = None
            remaining = deadline - self._clock()
            request.extensions["timeout"] = httpx.Timeout(min(self._timeout, max(remaining, 1.0))).as_dict()
            try:
                answer = self._http.send(request)
            except httpx.TransportError as error:
                outcome: httpx.Response | Unreachable = Unreachable(
                    str(request.url), str(error) or type(error).__name__, attempt
                )
            else:
                if answer.status_code not in RETRYABLE_STATUSES:
                    return answer
                outcome = answer
                retry_after = retry_after_seconds(answer.headers.get("retry-after"), datetime.now(UTC))
            # Jitter spreads load; nobody gains by guessing it.
            delay = self._retry.delay(attempt, random.random(), retry_after)  # noqa: S311 - as said above
            if attempt >= self._retry.attempts or self._clock() + delay > deadline:
                if isinstance(outcome, Unreachable):
                    raise outcome
                return outcome
            self._sleep(delay)


def api_url(base_url: str) -> str:
    """Return the address all routes hang under: `https://host` and `https://host/api/` are both `https://host/api`.

    Raises:
        UsageError: not an http or https URL.
    """
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        usable = False
    if not usable:
        raise UsageError(f"Not a server's address: {base_url!r}. Give TMS_URL as in https://tms.example.com")
    return url if url.endswith("/api") else f"{url}/api"


def usable_token(api_token: str) -> str:
    """Return the token without the blanks around it that a copied secret often has.

    Raises:
        UsageError: nothing is left, or what no HTTP header can carry.
    """
    token = api_token.strip()
    if not token:
        raise UsageError("No API token: set TMS_TOKEN; `orchestrator token create` on the server makes one.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("The API token has characters that no token has: copy TMS_TOKEN again.")
    return token


def refusal(status: int, content: bytes, location: str | None = None) -> ApiError:
    """Make the error of an answer that is no success; a body that is not the documented one is quoted."""
    try:
        body = httpx.Response(status, content=content).json()
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    if location is not None:
        return ApiError(status, "REDIRECTED", f"The server is at another address: set TMS_URL to {location}")
    if not isinstance(error, dict):
        text = content[:200].decode("utf-8", "replace").strip()
        return ApiError(status, "UNREADABLE_ANSWER", text or "The answer is empty")
    details = error.get("details")
    told = (
        status,
        str(error.get("code", "UNKNOWN")),
        str(error.get("message", "The server gave no reason")),
        [
            Detail(str(detail.get("field", "")), str(detail.get("message", "")))
            for detail in (details if isinstance(details, list) else [])
            if isinstance(detail, dict)
        ],
        error.get("requestId"),
    )
    files = body.get("files")
    return ReportsRejected(*told, files) if files else ApiError(*told)


def _segment(identifier: str) -> str:
    """Make an id safe as one segment of a path, whatever the caller was given as an id."""
    if not identifier or identifier in {".", ".."}:
        raise UsageError(f"Not an execution's id: {identifier!r}")
    return quote(identifier, safe="")
