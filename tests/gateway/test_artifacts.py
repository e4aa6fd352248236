"""Files of a shard, sent in one request: kept, listed, deleted; and what is refused, which leaves nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from orchestrator.artifacts.model import PART_BYTES
from orchestrator.identity.roles import Role
from storage import postgres
from tests.gateway.conftest import Api, TokenMaker, outcomes
from tests.gateway.files import PAGE, PNG, listed, path_of, send, sent
from tests.patience import eventually
from tests.running import RunningServer


def objects(server: RunningServer) -> set[Path]:
    return {path for path in (server.data_dir / "artifacts").rglob("*") if path.is_file()}


async def test_a_file_is_kept_with_what_it_is_of(api: Api) -> None:
    execution_id = await api.created()

    artifact = await sent(
        api, execution_id, PNG, "login/failed.png", test="logs in", file="login.spec.js", attempt="2", shardId="2"
    )

    assert artifact == {
        "artifactId": artifact["artifactId"],
        "executionId": execution_id,
        "shardId": "2",
        "kind": "screenshots",
        "name": "login/failed.png",
        "contentType": "image/png",
        "size": len(PNG),
        "sha256": sha256(PNG).hexdigest(),
        "test": "logs in",
        "file": "login.spec.js",
        "attempt": 2,
        "status": "stored",
        "createdAt": artifact["createdAt"],
        "storedAt": artifact["storedAt"],
        "url": artifact["url"],
        "parts": None,
    }
    assert (await api.with_token(None).get(artifact["url"])).raw == PNG
    looked_at = (await api.get(path_of(artifact))).json
    assert looked_at | {"url": ""} == artifact | {"url": ""}


async def test_files_are_listed_in_pages_by_what_they_are_of(api: Api) -> None:
    execution_id = await api.created()
    await sent(api, execution_id, b"1", "shard.log")
    await sent(api, execution_id, PNG, "a.png", test="a", attempt="1")
    await sent(api, execution_id, PNG, "b.png", test="a", attempt="2")
    await sent(api, execution_id, b"2", "trace.zip", test="a", file="a.js", shardId="2")

    assert await listed(api, execution_id) == ["shard.log", "a.png", "b.png", "trace.zip"]
    assert await listed(api, execution_id, kind="screenshots") == ["a.png", "b.png"]
    assert await listed(api, execution_id, test="a", attempt="2") == ["b.png"]
    assert await listed(api, execution_id, shard="2", file="a.js") == ["trace.zip"]
    first = (await api.get(f"/api/executions/{execution_id}/artifacts", params={"limit": "3"})).json
    assert len(first["artifacts"]) == 3
    assert await listed(api, execution_id, cursor=first["nextCursor"]) == ["trace.zip"]
    for wrong in ({"cursor": "x"}, {"kind": "x"}, {"shard": "0"}, {"limit": "0"}):
        answer = await api.get(f"/api/executions/{execution_id}/artifacts", params=wrong)
        assert (answer.status, list(answer.fields)) == (422, list(wrong))


@pytest.mark.contract("X-056", "X-059")
async def test_what_submissions_count_as_uploaded_does_not_depend_on_files(api: Api) -> None:
    execution_id = await api.created(shards=1)
    await sent(api, execution_id, PNG, "a.png")
    told = {"screenshots": ["a.png", "b.png"], "logs": ["test.log"]}
    assert (await api.submit(execution_id, artifacts=told)).json["summary"]["artifactsUploaded"] == 2
    page = (await api.get(f"/artifacts/{execution_id}")).json
    assert page["shards"] == {"1": told}
    assert [file["name"] for file in page["files"]] == ["a.png"]


async def test_files_come_before_during_and_after_their_execution(api: Api) -> None:
    execution_id = await api.created(shards=1)
    await sent(api, execution_id, b"before", "before.log")
    await api.submit(execution_id, tests=outcomes(1))
    await sent(api, execution_id, b"after", "after.log")
    cancelled = await api.created()
    await api.delete(f"/api/executions/{cancelled}")
    await sent(api, cancelled, b"why", "why.log")
    assert await listed(api, execution_id) == ["before.log", "after.log"]


async def test_the_same_file_again_is_the_same_artifact(api: Api, server: RunningServer) -> None:
    execution_id, content = await api.created(), os.urandom(2000)
    first = await sent(api, execution_id, content)
    before = objects(server)

    again = await asyncio.gather(*(sent(api, execution_id, content) for _ in range(4)))
    other = await sent(api, execution_id, content, "other.log")

    assert {one["artifactId"] for one in again} == {first["artifactId"]}
    assert other["artifactId"] != first["artifactId"]
    assert await listed(api, execution_id) == ["a.log", "other.log"]
    assert objects(server) == before


async def test_the_same_bytes_sent_at_once_are_stored_once(api: Api, server: RunningServer) -> None:
    execution_id, content, before = await api.created(), os.urandom(3 * 1024 * 1024), objects(server)

    await asyncio.gather(*(sent(api, execution_id, content, f"{number}.log") for number in range(4)))

    assert len(await listed(api, execution_id)) == 4
    [fresh] = objects(server) - before
    assert fresh.read_bytes() == content


async def test_a_file_without_a_length_is_streamed(api: Api) -> None:
    content = os.urandom(PART_BYTES + 1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    artifact = await sent(api, await api.created(), pieces(), sha256=sha256(content).hexdigest())
    assert (artifact["size"], artifact["sha256"]) == (len(content), sha256(content).hexdigest())
    assert (await api.get(artifact["url"])).raw == content


async def test_a_large_file_is_never_whole_in_memory(api: Api, server: RunningServer) -> None:
    size, piece = 192 * 1024 * 1024, bytes(1024 * 1024)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // len(piece)):
            yield piece

    before = highest_memory(server)
    artifact = await sent(api, await api.created(), pieces(), "trace.zip")
    received = 0
    async with aiohttp.ClientSession() as session, session.get(artifact["url"]) as answer:
        async for chunk in answer.content.iter_any():
            received += len(chunk)

    assert received == artifact["size"] == size
    assert highest_memory(server) - before < size / 2


def highest_memory(server: RunningServer) -> int:
    """The most bytes that the gateway process ever had in memory."""
    [line] = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def test_an_empty_log_is_a_log(api: Api) -> None:
    artifact = await sent(api, await api.created(), b"")
    assert artifact["size"] == 0
    assert (await api.get(artifact["url"])).raw == b""


async def test_bytes_with_another_hash_leave_nothing(api: Api, server: RunningServer) -> None:
    execution_id, before = await api.created(), objects(server)
    for size in (10, 6 * 1024 * 1024):
        answer = await send(api, execution_id, os.urandom(size), sha256="0" * 64)
        assert (answer.status, answer.error["code"], list(answer.fields)) == (422, "WRONG_HASH", ["sha256"])
    assert (await listed(api, execution_id), objects(server)) == ([], before)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.mp4", "a.webm"])
async def test_a_page_that_calls_itself_an_image_leaves_nothing(api: Api, server: RunningServer, name: str) -> None:
    execution_id, before = await api.created(), objects(server)
    answer = await send(api, execution_id, PAGE, name)
    assert (answer.status, list(answer.fields)) == (422, ["body"])
    assert (await listed(api, execution_id), objects(server)) == ([], before)


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("name", {"name": "../../etc/passwd"}),
        ("name", {"name": "/etc/passwd"}),
        ("name", {"name": "a\0b"}),
        ("name", {"name": "photo\u202egnp.html"}),
        ("name", {"name": "a\r\nSet-Cookie: x=y"}),
        ("name", {"name": "x" * 256}),
        ("name", {"name": ""}),
        ("name", {"kind": "videos"}),
        ("kind", {"kind": "pictures"}),
        ("test", {"test": ""}),
        ("test", {"test": "x" * 2001}),
        ("attempt", {"attempt": "0"}),
        ("sha256", {"sha256": "x"}),
        ("shardId", {"shardId": ""}),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(api: Api, field: str, params: dict[str, str]) -> None:
    execution_id = await api.created()
    answer = await send(api, execution_id, b"x", **params)
    assert (answer.status, list(answer.fields)) == (422, [field])
    assert await listed(api, execution_id) == []


async def test_a_file_is_of_a_shard_that_there_is(api: Api) -> None:
    execution_id = await api.created(shards=2)
    for shard in ("0", "3", "x", "01"):
        assert (await send(api, execution_id, b"x", shardId=shard)).status == 404
    assert (await send(api, "exec_1", b"x")).status == 404


async def test_forms_and_compressed_bodies_are_not_files(api: Api) -> None:
    path = f"/api/executions/{await api.created()}/artifacts?shardId=1&name=a.log"
    for headers in ({"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Encoding": "gzip"}):
        answer = await api.post(path, raw=b"x", headers=headers)
        assert (answer.status, answer.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    # What curl calls every body.
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await api.post(path, raw=b"x", headers=headers)).status == 201


async def test_too_large_a_file_is_refused_unread(api: Api, server: RunningServer) -> None:
    execution_id, before = await api.created(), objects(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = (
        f"POST /api/executions/{execution_id}/artifacts?shardId=1&name=a.log HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {api.token}\r\nContent-Length: {512 * 1024**2 + 1}\r\n\r\n"
    )
    writer.write(head.encode())
    status = await reader.readline()
    writer.close()
    assert status.split()[1] == b"413"
    assert objects(server) == before


async def test_a_connection_that_breaks_in_the_middle_leaves_nothing(api: Api, server: RunningServer) -> None:
    execution_id, before = await api.created(), objects(server)
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = (
        f"POST /api/executions/{execution_id}/artifacts?shardId=1&name=a.log HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {api.token}\r\nContent-Length: {8 * 1024**2}\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * 6 * 1024**2)
    await writer.drain()

    async def is_coming() -> bool:
        return objects(server) != before

    await eventually(is_coming)
    writer.transport.abort()

    async def is_gone() -> bool:
        return objects(server) == before

    await eventually(is_gone)
    assert await listed(api, execution_id) == []
    assert "request failed" not in [line for line in server.log.splitlines() if execution_id in line]


async def test_a_file_is_deleted(api: Api) -> None:
    execution_id = await api.created()
    artifact = await sent(api, execution_id, b"secret")

    deleted = await api.delete(path_of(artifact))

    assert (deleted.status, deleted.json["status"]) == (200, "deleted")
    assert (await api.get(path_of(artifact))).status == 404
    assert (await api.delete(path_of(artifact))).status == 404
    assert (await api.with_token(None).get(artifact["url"])).status == 404
    assert await listed(api, execution_id) == []


async def test_files_of_other_tenants_are_invisible(api: Api, stranger: Api) -> None:
    execution_id = await api.created()
    artifact = await sent(api, execution_id, b"secret")
    theirs = await stranger.created()

    for method, path in (
        ("GET", f"/api/executions/{execution_id}/artifacts"),
        ("GET", path_of(artifact)),
        ("DELETE", path_of(artifact)),
        ("GET", f"/api/executions/{theirs}/artifacts/{artifact['artifactId']}"),
        ("GET", f"/artifacts/{execution_id}/files/{artifact['artifactId']}"),
        ("PUT", f"{path_of(artifact)}/parts/1"),
        ("POST", f"{path_of(artifact)}/complete"),
    ):
        assert (await stranger.send(method, path, raw=b"x")).status == 404
    assert (await send(stranger, execution_id, b"x")).status == 404
    assert await listed(api, execution_id) == ["a.log"]


async def test_who_only_reads_sends_and_deletes_nothing(api: Api, token_for: TokenMaker) -> None:
    execution_id = await api.created()
    artifact = await sent(api, execution_id, b"x")
    viewer = api.with_token(await token_for(Role.VIEWER))

    assert (await send(viewer, execution_id, b"y")).status == 403
    assert (await viewer.delete(path_of(artifact))).status == 403
    assert (await viewer.get(path_of(artifact))).json["status"] == "stored"
    for method, path in (("GET", path_of(artifact)), ("POST", f"/api/executions/{execution_id}/artifacts")):
        assert (await api.with_token(None).send(method, path)).status == 401


async def test_an_execution_has_room_for_so_many_files(api: Api, server: RunningServer) -> None:
    execution_id = await api.created()
    artifact = await sent(api, execution_id, b"first")
    connection = await postgres.connect(server.database_url)
    await connection.execute(
        "INSERT INTO artifacts (artifact_id, tenant_id, execution_id, shard, kind, name, size, sha256, identity,"
        " created_at) SELECT a.artifact_id || n, tenant_id, execution_id, shard, kind, name, size, sha256,"
        " int4send(n::int), created_at FROM artifacts AS a, generate_series(1, 9999) AS n WHERE artifact_id = $1",
        artifact["artifactId"],
    )
    await connection.close()

    before = objects(server)
    answer = await send(api, execution_id, b"one more", "b.log")

    assert (answer.status, answer.error["code"]) == (413, "ARTIFACT_LIMIT")
    assert objects(server) == before
    assert (await sent(api, execution_id, b"first"))["artifactId"] == artifact["artifactId"]
