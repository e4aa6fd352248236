"""Limits of requests an hour, on the real counters."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from obstore.store import MemoryStore

from actors.couriers import Couriers
from actors.mailbox import Mailbox
from gateway.app import build_app
from gateway.services import Services
from orchestrator.config import Settings
from orchestrator.identity.roles import Role
from server.stores import Stores
from storage import identity
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import DirectConnection, Reader

Client = TestClient[Request, Application]

MOST = 50
AWAY = "redis://127.0.0.1:1/0"


async def client_of(stores: Stores, counters_url: str, most: int) -> AsyncIterator[Client]:
    reader, bus, counters = (
        await Reader.open(stores.database_url, size=2),
        Bus(stores.redis_url),
        Counters(counters_url),
    )
    services = Services(
        settings=Settings(limit_webhooks=most),
        reader=reader,
        mailbox=Mailbox([], 1.0),
        couriers=Couriers([], 1.0),
        bus=bus,
        blobs=Blobs(MemoryStore(), None),
        counters=counters,
        secret_key=b"k" * 32,
        actors={},
    )
    async with TestClient(TestServer(build_app(services))) as client:
        yield client
    await counters.close()
    await bus.close()
    await reader.close()


@pytest.fixture
async def client(stores: Stores) -> AsyncIterator[Client]:
    async for made in client_of(stores, stores.redis_url, MOST):
        yield made


@pytest.fixture
async def headers(connection: DirectConnection, tenant: int) -> dict[str, str]:
    made = await identity.create_token(connection, tenant, name="limited", role=Role.ADMIN, now=datetime.now(UTC))
    return {"Authorization": f"Bearer {made[0]}"}


@pytest.mark.contract("X-089", "X-092")
async def test_the_fifty_first_request_of_an_hour_is_refused_until_the_next(
    client: Client, headers: dict[str, str]
) -> None:
    answers = [await client.get("/api/webhooks", headers=headers) for _ in range(MOST)]
    refused = await client.get("/api/webhooks/wh_000", headers=headers)
    assert [answer.status for answer in answers] == [200] * MOST
    assert [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers] == list(reversed(range(MOST)))
    assert refused.status == 429
    assert refused.headers["X-RateLimit-Limit"] == str(MOST)
    assert refused.headers["X-RateLimit-Window"] == "3600"
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    error = (await refused.json())["error"]
    assert error["code"] == "RATE_LIMITED"
    assert error["message"].endswith("and the next one in 60 min")


@pytest.mark.contract("X-089")
async def test_what_is_not_counted_stays_possible_and_every_token_has_its_own_count(
    client: Client, headers: dict[str, str], connection: DirectConnection, tenant: int
) -> None:
    spent = [await client.get("/api/webhooks", headers=headers) for _ in range(MOST + 1)]
    other = await identity.create_token(connection, tenant, name="other", role=Role.ADMIN, now=datetime.now(UTC))
    assert spent[-1].status == 429
    assert (await client.get("/api/executions", headers=headers)).status == 200
    assert (await client.get("/api/webhooks", headers={"Authorization": f"Bearer {other[0]}"})).status == 200


async def test_what_became_of_limited_requests_is_counted(
    client: Client, stores: Stores, headers: dict[str, str]
) -> None:
    for _ in range(MOST + 2):
        await client.get("/api/webhooks", headers=headers)
    assert await counted(client) == {"taken": MOST, "refused": 2, "uncounted": 0}
    async for away in client_of(stores, AWAY, 1):
        await away.get("/api/webhooks", headers=headers)
        assert await counted(away) == {"taken": 0, "refused": 0, "uncounted": 1}


async def counted(client: Client) -> dict[str, float]:
    text = await (await client.get("/metrics")).text()
    samples = re.findall(
        r'^tms_http_limited_requests_total{limit="webhooks",outcome="(\w+)"} (\S+)$', text, re.MULTILINE
    )
    return {outcome: float(value) for outcome, value in samples}


async def test_headers_are_on_refusals_too(client: Client, headers: dict[str, str]) -> None:
    answer = await client.get("/api/webhooks/wh_000", headers=headers)
    assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (404, str(MOST - 1))


async def test_nobody_is_refused_where_the_counters_are_away(stores: Stores, headers: dict[str, str]) -> None:
    async for client in client_of(stores, AWAY, 1):
        for _ in range(3):
            assert (await client.get("/api/webhooks", headers=headers)).status == 200


async def test_no_limit_is_no_limit(stores: Stores, headers: dict[str, str]) -> None:
    async for client in client_of(stores, stores.redis_url, 0):
        answer = await client.get("/api/webhooks", headers=headers)
        assert "X-RateLimit-Limit" not in answer.headers
