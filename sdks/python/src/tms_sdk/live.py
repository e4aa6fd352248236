"""An execution's live stream: the frames of its websocket, through disconnects, until it ends."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tms_sdk.connection import USER_AGENT, api_url, refusal, usable_token
from tms_sdk.errors import ApiError, Unreachable
from tms_sdk.retry import RETRYABLE_STATUSES, Retry

FINAL_STATUSES = frozenset({"completed", "failed", "cancelled"})
FINAL_EVENTS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})

# A snapshot of an execution with very many shards is far above the library's limit of 1 MiB.
MAX_FRAME_BYTES = 64 * 1024 * 1024
# How long to wait for the other end's goodbye; nothing depends on it.
CLOSE_SECONDS = 1.0

_NO_RIGHT = 4401
_UNKNOWN = 4404
_TOO_SLOW = 4408

PATIENCE = Retry(attempts=1_000_000, first_delay=0.5, longest_delay=15.0, total=300.0)

Frame = dict[str, Any]


async def follow(
    base_url: str,
    api_token: str,
    execution_id: str,
    *,
    after: int | None = None,
    retry: Retry = PATIENCE,
) -> AsyncGenerator[Frame, None]:
    """Yield an execution's frames, each event once and in order, and return when the execution has ended.

    The first frame is a snapshot, `{"type": "snapshot", "seq": n, "execution": {…as GET prints it}}`, unless `after`
    says what the caller has seen already. Events follow: `{"type": "event", "seq": n+1, "event": "shard.completed",
    "executionId": …, "timestamp": …, "data": {…}}`. After a disconnect the stream goes on where it stopped; a reader
    that was too slow gets a new snapshot. Frames of other types are passed on as they come.

    Args:
        base_url: the server's address, with or without `/api` at its end.
        api_token: the API token.
        execution_id: the execution.
        after: the number of the last event seen; None for a snapshot.
        retry: how stubborn to be while the server is away. It counts anew with every frame.

    Raises:
        ApiError: no right to look (401), or no such execution (404).
        Unreachable: the server stayed away longer than `retry` allows.
    """
    url = "ws" + api_url(base_url).removeprefix("http") + f"/executions/{quote(execution_id, safe='')}/live"
    token = usable_token(api_token)
    seen = after
    failures = 0
    last_heard = time.monotonic()
    reason = "closed"
    while True:
        try:
            async with _open(url if seen is None else f"{url}?after={seen}", token) as socket:
                while True:
                    frame: Frame = json.loads(await socket.recv())
                    failures, last_heard = 0, time.monotonic()
                    if frame.get("type") in {"snapshot", "event"}:
                        if not _is_next(frame, seen):
                            continue
                        seen = frame["seq"]
                    yield frame
                    if ends(frame):
                        return
        except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, json.JSONDecodeError, _Gap) as trouble:
            seen = _resume_from(trouble, seen)
            reason = str(trouble) or type(trouble).__name__
        failures += 1
        delay = retry.delay(failures, random.random())  # noqa: S311 - jitter spreads load, nobody gains by guessing it
        if failures >= retry.attempts or time.monotonic() + delay - last_heard > retry.total:
            raise Unreachable(url, reason, failures)
        await asyncio.sleep(delay)


def ends(frame: Frame) -> bool:
    """Tell whether the execution ended with this frame."""
    if frame.get("type") == "snapshot":
        return frame["execution"]["status"] in FINAL_STATUSES
    return frame.get("type") == "event" and frame["event"] in FINAL_EVENTS


def _open(url: str, token: str) -> connect:
    return connect(
        url,
        additional_headers={"Authorization": f"Bearer {token}"},
        user_agent_header=USER_AGENT,
        max_size=MAX_FRAME_BYTES,
        close_timeout=CLOSE_SECONDS,
    )


class _Gap(Exception):
    """The server left out an event; asking for it again mends that."""


def _is_next(frame: Frame, seen: int | None) -> bool:
    """Tell whether the reader has to see this frame; one it has seen already is none.

    Raises:
        _Gap: an event before it is missing.
    """
    if frame["type"] == "snapshot" or seen is None:
        return True
    if frame["seq"] > seen + 1:
        raise _Gap(f"event {seen + 1} was left out")
    return bool(frame["seq"] == seen + 1)


def _resume_from(trouble: Exception, seen: int | None) -> int | None:
    """Return the number to go on after; None asks for a new snapshot.

    Raises:
        ApiError: going on is of no use.
    """
    if isinstance(trouble, InvalidStatus) and trouble.response.status_code not in RETRYABLE_STATUSES:
        raise refusal(trouble.response.status_code, bytes(trouble.response.body or b"")) from trouble
    if isinstance(trouble, ConnectionClosed) and trouble.rcvd is not None:
        words = trouble.rcvd.reason
        if trouble.rcvd.code == _NO_RIGHT:
            raise ApiError(401, "UNAUTHORIZED", words or "The token may not look at this execution") from trouble
        if trouble.rcvd.code == _UNKNOWN:
            raise ApiError(404, "NOT_FOUND", words or "There is no such execution") from trouble
        if trouble.rcvd.code == _TOO_SLOW:
            return None
    return seen
