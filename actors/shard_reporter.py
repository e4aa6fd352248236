"""What the server is told of a managed shard: over HTTP and with the shard's own token, as any runner would."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from orchestrator.timestamps import to_text
from storage.job_shards import Key

REQUEST_SECONDS = 60.0
REPORT_BYTES = 256 * 1024 * 1024
"""More is not even sent; the server takes less (`TMS_MAX_BODY_BYTES`)."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

_OPEN = ("pending", "running")
_TOO_MANY = 429
_FAULT = 500


class Access(msgspec.Struct, frozen=True):
    """How a shard speaks to the server.

    Attributes:
        url: of the server, as the nodes reach it.
        token: of the shards of one execution.
        webhook_token: of the execution.
    """

    url: str
    token: str
    webhook_token: str

    def __repr__(self) -> str:
        return f"Access({self.url})"


class Refused(Exception):
    """The server does not take it, and would not take it later; the text says why."""


class _Request(msgspec.Struct, frozen=True):
    """What is sent; `once`: it changes something, and this tells it from the attempt's other changes."""

    path: str
    token: str
    once: str | None = None
    params: dict[str, str] | None = None
    body: dict[str, Any] | None = None
    files: Sequence[tuple[str, bytes]] = ()


class ShardReporter:
    """Tells of one attempt of a shard; a context, for its connections.

    It names itself: what it says of a shard that a command's own runner has claimed ends nothing of that runner's.
    """

    def __init__(self, access: Access, key: Key) -> None:
        self._access = access
        self._key = key

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def started(self) -> None:
        """The shard runs.

        Raises:
            Refused: it need not.
        """
        data = {"shardId": str(self._key.shard)}
        body = {"event": "shard.started", "timestamp": to_text(datetime.now(UTC)), "data": data}
        path = f"/api/webhooks/executions/{self._key.execution_id}"
        await self._send(_Request(path, self._access.webhook_token, once="started", body=body))

    async def is_open(self) -> bool:
        """Whether the shard has not ended yet: its command may have told the server all by itself.

        Raises:
            Refused: there is no such execution any more.
        """
        state = await self._send(_Request(f"/api/executions/{self._key.execution_id}", self._access.token))
        return state["shardResults"][self._key.shard - 1]["status"] in _OPEN

    async def submit(self, reports: Sequence[Path], folder: Path, exit_code: int) -> None:
        """Send reports as the results of the shard.

        Raises:
            Refused: they cannot be read, or are too large.
            OSError: a file cannot.
        """
        contents = await asyncio.to_thread(_read, reports, folder)
        path = f"/api/executions/{self._key.execution_id}/reports"
        params = {
            "shardId": str(self._key.shard),
            "exitCode": str(exit_code),
            "runnerId": self._key.runner_id,
        }
        await self._send(_Request(path, self._access.token, once="reports", params=params, files=contents))

    async def end(self, status: str, about: dict[str, object]) -> None:
        """End the shard without reports.

        Args:
            status: `completed` or `error`.
            about: kept with the shard's submission.

        Raises:
            Refused: the execution takes no results any more.
        """
        body = {
            "executionId": self._key.execution_id,
            "shardId": str(self._key.shard),
            "runnerId": self._key.runner_id,
            "status": status,
            "metadata": about | {"attempt": self._key.attempt},
        }
        await self._send(_Request("/api/results", self._access.token, once=status, body=body))

    async def _send(self, request: _Request) -> Any:  # noqa: ANN401 - decoded JSON
        """Send a request, again and again until there is an answer to it."""
        pause = FIRST_PAUSE_SECONDS
        headers = {"Authorization": f"Bearer {request.token}"}
        if request.once is not None:
            key = self._key
            headers["Idempotency-Key"] = f"job-{key.execution_id}-{key.shard}-{key.attempt}-{request.once}"
        while True:
            try:
                async with self._http.request(
                    "GET" if request.once is None else "POST",
                    self._access.url + request.path,
                    headers=headers,
                    params=request.params,
                    json=request.body,
                    data=_form(request.files) if request.files else None,
                ) as answer:
                    if answer.ok:
                        return await answer.json()
                    if answer.status != _TOO_MANY and answer.status < _FAULT:
                        raise Refused(await _reason(answer))
            except (aiohttp.ClientError, TimeoutError):
                pass  # it restarts, or the network does
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _read(reports: Sequence[Path], folder: Path) -> list[tuple[str, bytes]]:
    if sum(path.stat().st_size for path in reports) > REPORT_BYTES:
        raise Refused(f"they have more than {REPORT_BYTES} bytes")
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in reports]


def _form(files: Sequence[tuple[str, bytes]]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, content in files:
        form.add_field("files", content, filename=name)
    return form


async def _reason(answer: aiohttp.ClientResponse) -> str:
    """What the server says, with the first of the fields it names."""
    try:
        error = (await answer.json())["error"]
        named = [f"{detail['field']}: {detail['message']}" for detail in error["details"]]
        return "; ".join([error["message"], *named[:3]])
    except (aiohttp.ClientError, ValueError, KeyError, TypeError):
        return f"status {answer.status}"
