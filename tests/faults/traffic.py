"""Clients that send results with retries, as runners do, and remember what they were promised."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import aiohttp

from orchestrator.timestamps import to_text
from tests import orders

RETRIED = frozenset({429, 500, 502, 503, 504})
RETRY_SECONDS = 0.1
GIVE_UP_SECONDS = 120.0
ATTEMPT_SECONDS = 30.0


@dataclass
class Promised:
    """What the server acknowledged for one execution.

    Attributes:
        tests: number of tests in the last acknowledged submission of each shard; no shard is sent twice at once.
        submissions: ids of all acknowledged submissions.
    """

    execution_id: str
    shards: int
    tests: dict[str, int] = field(default_factory=dict)
    submissions: set[str] = field(default_factory=set)


class Traffic:
    """Some clients, each with executions of its own, until told to finish."""

    def __init__(
        self, url: str, token: str, begun: Callable[[str], None], *, clients: int = 16, shards: int = 4
    ) -> None:
        self._begun = begun
        self._url = url
        self._token = token
        self._clients = clients
        self._shards = shards
        self._numbers = count(1)
        self._is_finishing = asyncio.Event()
        self._acknowledged = 0
        self._waiters: list[tuple[int, asyncio.Event]] = []
        self.promised: list[Promised] = []

    async def run(self, disturb: Callable[[], Awaitable[None]]) -> None:
        """Send while `disturb` does its harm, then finish every execution that was begun."""
        async with aiohttp.ClientSession() as session:
            clients = [asyncio.create_task(self._client(session)) for _ in range(self._clients)]
            try:
                await self.progress(50)
                await disturb()
                await self.progress(50)
            finally:
                self._is_finishing.set()
                await asyncio.gather(*clients)

    async def progress(self, submissions: int) -> None:
        """Wait until so many more submissions are acknowledged."""
        reached = asyncio.Event()
        self._waiters.append((self._acknowledged + submissions, reached))
        async with asyncio.timeout(GIVE_UP_SECONDS):
            await reached.wait()

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._is_finishing.is_set():
            promised, token = await self._create(session)
            self.promised.append(promised)
            for shard in range(1, self._shards + 1):
                await self._start_shard(session, promised, str(shard), token)
            # Every shard twice but the last one, which ends the execution: results replace each other under fire.
            for shard in [*range(1, self._shards), *range(1, self._shards), self._shards]:
                await self._submit(session, promised, str(shard))

    async def _create(self, session: aiohttp.ClientSession) -> tuple[Promised, str]:
        """A new execution, and the token of its runner."""
        body = {
            "testSuite": "smoke",
            "environment": "dev",
            "provider": "faults",
            "configuration": {"shards": self._shards, "timeout": 600_000},
        }
        answer = await self._post(session, "/api/executions", body, self._token, uuid4().hex)
        self._begun(answer["executionId"])
        return Promised(answer["executionId"], self._shards), answer["webhookToken"]

    async def _start_shard(self, session: aiohttp.ClientSession, promised: Promised, shard: str, token: str) -> None:
        """The runner's word that a shard begins."""
        body = {"event": "shard.started", "timestamp": to_text(orders.now()), "data": {"shardId": shard}}
        await self._post(session, f"/api/webhooks/executions/{promised.execution_id}", body, token)

    async def _submit(self, session: aiohttp.ClientSession, promised: Promised, shard: str) -> None:
        number = next(self._numbers)
        tests = number % 7 + 1
        body = {
            "executionId": promised.execution_id,
            "shardId": shard,
            "status": "completed",
            "tests": [{"title": f"test {number}-{index}", "status": "passed"} for index in range(tests)],
        }
        answer = await self._post(session, "/api/results", body, self._token)
        promised.tests[shard] = tests
        promised.submissions.add(answer["submissionId"])
        self._acknowledged += 1
        for target, reached in self._waiters:
            if self._acknowledged >= target:
                reached.set()

    async def _post(
        self,
        session: aiohttp.ClientSession,
        path: str,
        body: dict[str, Any],
        token: str,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Send until it is answered for good, the same bytes each time."""
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        headers |= {"Idempotency-Key": key} if key else {}
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS)
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                try:
                    async with session.post(self._url + path, data=content, headers=headers, timeout=timeout) as answer:
                        text = await answer.text()
                        if answer.status not in RETRIED:
                            assert answer.status in (200, 201), f"{path}: {answer.status} {text}"
                            result: dict[str, Any] = json.loads(text)
                            return result
                except (aiohttp.ClientError, TimeoutError):
                    pass  # not answered: send again
                await asyncio.sleep(RETRY_SECONDS)
