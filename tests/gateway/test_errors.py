"""Every refusal has one form, whoever refuses."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest

from orchestrator.identity.roles import Role
from tests.gateway.conftest import CREATION, Answer, Api, Maintenance, TokenMaker
from tests.patience import eventually
from tests.receiver import Receiver
from tests.running import RunningServer

MEGABYTE = 1024 * 1024
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def assert_is_error(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    body = answer.json
    assert list(body) == ["success", "error", "request_id"]
    assert body["success"] is False
    error = body["error"]
    assert list(error) == ["code", "message", "details", "requestId", "timestamp"]
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["details"], list)
    assert re.fullmatch(MOMENT, error["timestamp"])
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert error["requestId"] == "req_" + body["request_id"].replace("-", "")[:12]


@pytest.mark.contract("X-077", "X-078", "X-079")
async def test_the_documented_error_body(api: Api) -> None:
    answer = await api.post("/api/executions", CREATION | {"testSuite": "x", "environment": "y"})

    assert_is_error(answer, 422, "VALIDATION_ERROR")
    assert answer.error["message"] == "Request validation failed"
    assert answer.error["details"] == [
        {"field": "testSuite", "message": "Must be one of: smoke, regression, api, ui, all"},
        {"field": "environment", "message": "Must be one of: dev, staging, production"},
    ]


@pytest.mark.contract("X-002", "X-083")
async def test_every_route_wants_a_token(api: Api) -> None:
    execution_id = await api.created()
    for method, path in (
        ("POST", "/api/executions"),
        ("GET", "/api/executions"),
        ("GET", f"/api/executions/{execution_id}"),
        ("DELETE", f"/api/executions/{execution_id}"),
        ("GET", f"/api/executions/{execution_id}/tests"),
        ("GET", f"/api/executions/{execution_id}/events"),
        ("POST", "/api/results"),
        ("GET", "/api/tokens"),
        ("POST", "/api/tokens"),
        ("DELETE", "/api/tokens/tok_1"),
        ("POST", "/api/tokens/tok_1/rotate"),
        ("POST", "/api/webhooks"),
        ("GET", "/api/webhooks"),
        ("PATCH", "/api/webhooks/wh_1"),
        ("POST", "/api/webhooks/wh_1/validate"),
        ("GET", "/api/webhooks/wh_1/deliveries"),
        ("GET", f"/api/executions/{execution_id}/deliveries"),
        ("GET", f"/api/executions/{execution_id}/artifacts"),
        ("POST", f"/api/executions/{execution_id}/artifacts"),
        ("POST", f"/api/executions/{execution_id}/artifact-uploads"),
        ("GET", f"/api/executions/{execution_id}/artifacts/art_1"),
        ("DELETE", f"/api/executions/{execution_id}/artifacts/art_1"),
        ("PUT", f"/api/executions/{execution_id}/artifacts/art_1/parts/1"),
        ("POST", f"/api/executions/{execution_id}/artifacts/art_1/complete"),
        ("GET", f"/artifacts/{execution_id}/files/art_1"),
        ("GET", "/api/badges"),
        ("GET", f"/reports/{execution_id}"),
        ("GET", f"/logs/{execution_id}"),
        ("GET", f"/artifacts/{execution_id}"),
    ):
        for header in (None, "Bearer nope", "Basic bm9wZQ==", "Bearer", "Bearer \xe9", f"Bearer {'x' * 5000}"):
            answer = await api.with_token(None).send(
                method, path, headers={} if header is None else {"Authorization": header}
            )
            assert_is_error(answer, 401, "UNAUTHORIZED")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.contract("X-004")
async def test_a_content_type_on_a_request_without_body_does_no_harm(api: Api) -> None:
    execution_id = await api.created()

    assert (await api.get(f"/api/executions/{execution_id}")).status == 200
    assert (await api.delete(f"/api/executions/{execution_id}")).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/vnd.any+json; charset=utf-8"])
async def test_json_is_read_whatever_it_is_called(api: Api, content_type: str) -> None:
    assert (await api.post("/api/executions", CREATION, headers={"Content-Type": content_type})).status == 201


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
async def test_forms_are_not_read(api: Api, content_type: str) -> None:
    answer = await api.post("/api/executions", CREATION, headers={"Content-Type": content_type})

    assert_is_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.contract("X-080")
@pytest.mark.parametrize("raw", [b"{", b"", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000], ids=range(5))
async def test_unreadable_bodies(api: Api, raw: bytes) -> None:
    for path in ("/api/executions", "/api/results", "/api/tokens"):
        assert_is_error(await api.post(path, raw=raw), 400, "BAD_REQUEST")


async def test_unknown_paths_and_methods(api: Api) -> None:
    for path in ("/nothing", "/api", "/api/nothing", "/api/executions/", "/api/v2/executions", "/%00", "/api/%ff"):
        assert_is_error(await api.get(path), 404, "NOT_FOUND")
    answer = await api.send("PUT", "/api/executions")
    assert_is_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET, POST"


async def test_a_body_over_the_limit_is_refused_and_the_server_goes_on(api: Api) -> None:
    large = json.dumps(CREATION | {"x": "y" * 33 * MEGABYTE}).encode()

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), MEGABYTE):
            yield large[start : start + MEGABYTE]

    assert_is_error(await api.post("/api/executions", raw=BytesIO(large)), 413, "PAYLOAD_TOO_LARGE")
    assert_is_error(await api.post("/api/executions", raw=in_chunks()), 413, "PAYLOAD_TOO_LARGE")
    assert (await api.post("/api/executions", CREATION)).status == 201


async def test_a_gzip_bomb_is_stopped_while_it_is_inflated(api: Api) -> None:
    bomb = gzip.compress(b" " * 400 * MEGABYTE)

    answer = await api.post("/api/results", raw=bomb, headers={"Content-Encoding": "gzip"})

    assert_is_error(answer, 413, "PAYLOAD_TOO_LARGE")


async def test_compression_that_is_none_or_unknown(api: Api) -> None:
    broken = await api.post("/api/results", raw=b"no gzip", headers={"Content-Encoding": "gzip"})
    unknown = await api.post("/api/results", raw=b"{}", headers={"Content-Encoding": "br"})

    assert_is_error(broken, 400, "BAD_REQUEST")
    assert_is_error(unknown, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.contract("X-086")
async def test_a_request_is_found_in_the_log_by_its_id(api: Api, server: RunningServer) -> None:
    first, second = await api.get("/api/executions/exec_1"), await api.get("/api/executions/exec_1")

    assert first.error["requestId"] != second.error["requestId"]
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines if line.get("short_id") == first.error["requestId"]] == [404]
    assert [line["code"] for line in lines if line.get("request_id") == second.json["request_id"]] == ["NOT_FOUND"]


@pytest.mark.contract("X-093", "X-094")
async def test_no_secret_is_logged_or_stored(
    api: Api, newcomer: Api, receiver: Receiver, server: RunningServer
) -> None:
    execution = await api.create()
    token = (await api.post("/api/tokens", {"name": "secret"})).json["token"]
    await api.with_token(token).submit(execution["executionId"])
    await api.tell(execution, "execution.started")
    await api.with_token(execution["webhookToken"]).get("/api/executions")
    await api.with_token(token).post("/api/executions", {"testSuite": "x"})
    await api.with_token(token + "x").get("/api/executions")
    webhook = {"url": receiver.url(), "events": ["shard.started"]}
    made = (await newcomer.post("/api/webhooks", webhook, headers={"Idempotency-Key": "a-webhook"})).json
    given = "a secret of my own"
    place = f"/api/webhooks/{made['webhookId']}"
    await newcomer.post(f"{place}/rotate-secret", {"secret": given}, headers={"Idempotency-Key": "a-rotation"})
    await newcomer.post("/api/webhooks", webhook | {"secret": given})
    assert (await newcomer.post(f"{place}/validate")).json["status"] == "valid"

    files = [path for path in server.data_dir.rglob("*") if path.is_file() and path.name != "secret-key"]
    for secret in (execution["webhookToken"], token, token.split("_", 2)[2], given, made["secret"].split("_")[1]):
        assert secret not in server.log
        assert not [path for path in files if secret.encode() in content_of(path)]


def content_of(path: Path) -> bytes:
    """What a file holds; nothing if the server has removed it meanwhile, as Postgres does with some of its own."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.contract("X-083", "X-005")
async def test_a_lacking_permission(api: Api, token_for: TokenMaker) -> None:
    refused = await api.with_token(await token_for(Role.QA_LEAD)).get("/api/tokens")

    assert_is_error(refused, 403, "FORBIDDEN")
    assert "tokens:manage" in refused.error["message"]


@pytest.mark.contract("X-084")
async def test_a_closed_database_is_unavailable_for_a_while(api: Api, maintenance: Maintenance) -> None:
    async def is_ready() -> bool:
        return (await api.get("/readyz")).status == 200

    async with maintenance():
        listed, readiness = await api.get("/api/executions"), await api.get("/readyz")
        for answer in (listed, readiness):
            assert_is_error(answer, 503, "SERVICE_UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) > 0
        assert "database" in readiness.fields
        assert (await api.get("/healthz")).status == 200

    await eventually(is_ready)
    assert (await api.post("/api/executions", CREATION)).status == 201


async def test_every_answer_is_kept_from_caches_and_guessing(api: Api) -> None:
    for path in ("/api/executions", "/api/nothing", "/healthz", "/api/docs"):
        headers = (await api.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "aiohttp" not in str(headers)
        assert headers["X-Request-Id"]


async def test_large_answers_are_compressed_for_those_who_take_it(api: Api) -> None:
    path = f"/api/executions/{await api.created()}"
    plain = await api.get(path)

    small = await api.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = await api.get(path, headers={"Accept-Encoding": "gzip;q=0"})

    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.raw) == plain.raw
    assert len(small.raw) < len(plain.raw)
    assert "Content-Encoding" not in refused.headers
    assert "Content-Encoding" not in (await api.get("/healthz", headers={"Accept-Encoding": "gzip"})).headers


async def exchange(server: RunningServer, sent: bytes) -> bytes:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer verysecret" + b"x" * 10_000 + b"\r\n\r\n",
        b"POST /api/results HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ],
    ids=["no HTTP", "long path", "long header", "wrong length", "NUL"],
)
async def test_what_is_not_http_is_refused_in_the_same_form(server: RunningServer, sent: bytes) -> None:
    head, _, body = (await exchange(server, sent)).partition(b"\r\n\r\n")

    assert head.split()[1] == b"400"
    assert json.loads(body)["error"]["code"] == "BAD_REQUEST"
    assert f"X-Request-Id: {json.loads(body)['request_id']}".encode() in head
    assert "verysecret" not in server.log


async def test_a_client_may_ask_before_it_sends_its_body(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/executions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 2\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())

    assert (await reader.readline()) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(b"{}")
    assert b"HTTP/1.1 422" in await reader.read()
    writer.close()
    await writer.wait_closed()
