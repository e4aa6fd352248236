"""One HTTP connection to a TMS server: retries that cannot count anything twice, errors that say what to do."""

import gzip
import json
import random
import ssl
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from tms_sdk import __version__
from tms_sdk.errors import (
    REDIRECTED,
    UNREADABLE_ANSWER,
    ApiError,
    Detail,
    ReportsRejected,
    Unreachable,
    UsageError,
)
from tms_sdk.forms import ReportForm
from tms_sdk.retry import RETRYABLE_STATUSES, Retry, retry_after_seconds

# Larger bodies are compressed: a manifest of a large suite has many MB, of which a tenth is left.
_LARGE_BYTES = 64 * 1024
_COMPRESSION = 3

USER_AGENT = f"tms-sdk-python/{__version__}"


@cache
def _tls(scheme: str) -> ssl.SSLContext:
    """All connections trust the same certificates, which take a twentieth of a second to load where they are needed."""
    return httpx.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Connection:
    """The way to one server, safe to share between threads; see `TMSClient` for the arguments."""

    def __init__(
        self,
        api_token: str,
        base_url: str,
        *,
        timeout: float,
        retry: Retry,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self.api_token = usable_token(api_token)
        self.base_url = api_url(base_url)
        self._timeout = timeout
        self._retry = retry
        self._sleep = sleep
        self._clock = clock
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        self._http = httpx.Client(headers=headers, verify=_tls(urlsplit(self.base_url).scheme))

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | ReportForm | bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        expect: tuple[str, ...] = (),
        key: str | None = None,
    ) -> dict[str, Any]:
        """Call a route and return its answer, an object that has the keys of `expect`."""
        url = self.base_url + path
        answer = self.request(method, url, self.api_token, body=body, query=query, key=key)
        try:
            decoded = answer.json()
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict) or any(key not in decoded for key in expect):
            kind = answer.headers.get("content-type", "no content type")
            raise ApiError(
                answer.status_code,
                UNREADABLE_ANSWER,
                f"{url} does not answer as a TMS server does ({kind}): is TMS_URL right?",
            )
        return decoded

    def request(
        self,
        method: str,
        url: str,
        token: str,
        *,
        body: Mapping[str, Any] | ReportForm | bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """Send one request until it is answered, and return the answer, which is a success."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        content: ReportForm | bytes | None = None
        if isinstance(body, ReportForm):
            content = body
            headers |= body.headers
        elif isinstance(body, bytes):
            content = body
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            if len(content) > _LARGE_BYTES:
                content = gzip.compress(content, _COMPRESSION, mtime=0)
                headers["Content-Encoding"] = "gzip"
        request = self._http.build_request(method, url, params=query or None, content=content, headers=headers)
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
        return ApiError(status, REDIRECTED, f"The server is at another address: set TMS_URL to {location}")
    if not isinstance(error, dict):
        text = content[:200].decode("utf-8", "replace").strip()
        return ApiError(status, UNREADABLE_ANSWER, text or "The answer is empty")
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
