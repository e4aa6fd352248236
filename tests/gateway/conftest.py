"""A client of the running server, and tokens of other tenants and roles."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import msgspec
import pytest

from orchestrator.identity.roles import Role
from storage import identity, postgres
from tests.receiver import Receiver
from tests.running import RunningServer

CREATION: dict[str, Any] = {
    "testSuite": "smoke",
    "environment": "staging",
    "provider": "custom-ci",
    "triggerSource": "api",
    "configuration": {
        "browsers": ["chromium", "firefox", "webkit"],
        "parallel": True,
        "shards": 4,
        "timeout": 1800000,
        "retries": 2,
    },
    "metadata": {
        "branch": "feature/new-feature",
        "commit": "abc123",
        "buildNumber": "456",
        "triggeredBy": "dev@a.test",
    },
}


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.raw)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def fields(self) -> dict[str, str]:
        return {detail["field"]: detail["message"] for detail in self.error["details"]}


class Api:
    """Speaks to the server with one token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self.url = url
        self.token = token

    def with_token(self, token: str | None) -> "Api":
        return Api(self._session, self.url, token)

    async def send(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        raw: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Content-Type": "application/json"} | dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        body = msgspec.json.encode(json) if json is not None else raw
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(method, url, data=body, headers=sent, params=params) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Answer:
        return await self.send("POST", path, json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> Answer:
        return await self.send("PATCH", path, json, **options)

    async def delete(self, path: str, json: Any = None, **options: Any) -> Answer:
        return await self.send("DELETE", path, json, **options)

    async def create(self, **fields: Any) -> Any:
        """A new execution, as its creation answered."""
        answer = await self.post("/api/executions", CREATION | fields)
        assert answer.status == 201, answer.raw
        return answer.json

    async def created(self, shards: int = 2, **fields: Any) -> str:
        """The id of a new execution."""
        return str((await self.create(configuration={"shards": shards}, **fields))["executionId"])

    async def submit(self, execution_id: str, shard: str = "1", **fields: Any) -> Answer:
        body = {"executionId": execution_id, "shardId": shard, "status": "completed", "tests": outcomes(2, 1)} | fields
        return await self.post("/api/results", body)

    async def state(self, execution_id: str) -> Any:
        answer = await self.get(f"/api/executions/{execution_id}")
        assert answer.status == 200, answer.raw
        return answer.json

    async def tell(self, execution: Any, event: str, data: Any = None, **fields: Any) -> Answer:
        """An event told with an execution's webhook token."""
        body = {"event": event, "timestamp": moment(), "executionId": execution["executionId"], "data": data} | fields
        return await self.with_token(execution["webhookToken"]).post(execution["webhookUrl"], body)


def moment() -> str:
    """The present as JavaScript writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outcomes(passed: int = 0, failed: int = 0, skipped: int = 0) -> list[dict[str, Any]]:
    """Tests as a runner lists them."""
    each = (("passed", passed), ("failed", failed), ("skipped", skipped))
    return [
        {"title": f"{status} {number}", "file": f"tests/{status}.spec.js", "status": status, "duration": 100 * number}
        for status, amount in each
        for number in range(1, amount + 1)
    ]


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[Api]:
    """The server as an administrator of the first tenant sees it."""
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, auto_decompress=False) as session:
        yield Api(session, server.url, server.token)


TokenMaker = Callable[..., Awaitable[str]]


@pytest.fixture
def token_for(server: RunningServer) -> TokenMaker:
    """Makes a token of a role, in the first tenant or, with `tenant=None`, in a new one."""

    async def make(role: Role = Role.ADMIN, tenant: str | None = identity.DEFAULT_TENANT) -> str:
        connection = await postgres.connect(server.database_url)
        try:
            tenant_id = await identity.ensure_tenant(connection, tenant or f"tenant-{uuid4()}")
            secret, _ = await identity.create_token(
                connection, tenant_id, name="test", role=role, now=datetime.now(UTC)
            )
            return secret
        finally:
            await connection.close()

    return make


@pytest.fixture
async def newcomer(api: Api, token_for: TokenMaker) -> Api:
    """An administrator of a tenant that has nothing yet."""
    return api.with_token(await token_for(tenant=None))


@pytest.fixture
async def stranger(api: Api, token_for: TokenMaker) -> Api:
    """An administrator of another tenant."""
    return api.with_token(await token_for(tenant=None))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint that webhooks may go to."""
    async with Receiver() as listening:
        yield listening


Maintenance = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def maintenance(server: RunningServer) -> Maintenance:
    """Closes the database to everybody for as long as it is entered."""

    @asynccontextmanager
    async def closed() -> AsyncIterator[None]:
        inside = await postgres.connect(server.database_url)
        database = await inside.fetchval("SELECT current_database()")
        name = await inside.fetchval("SELECT quote_ident($1)", database)
        await inside.close()
        connection = await asyncpg.connect(server.database_url, database="template1")
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database
            )
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await connection.close()

    return closed
