"""Artifacts as rows: stored once by content, found again, limited."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import Artifact
from orchestrator.errors import NotFound, TooLarge
from storage import artifacts
from storage.artifacts import ArtifactFilter
from storage.postgres import DirectConnection, Reader
from tests.files import NOW, executed, file_of

ROOM = 1_000


@pytest.fixture
async def execution_id(connection: DirectConnection, tenant: int) -> str:
    return await executed(connection, tenant)


async def keep(connection: Any, new: Artifact, object_name: str, most_bytes: int = ROOM) -> Artifact:
    return await artifacts.keep(connection, new, object_name, NOW, most_bytes=most_bytes)


async def begin(connection: Any, new: Artifact) -> Artifact:
    return await artifacts.begin(connection, new, await artifacts.same_bytes(connection, new), NOW, most_bytes=ROOM)


async def names(connection: Any, execution_id: str, **wanted: Any) -> list[str]:
    found, _ = await artifacts.page(connection, execution_id, ArtifactFilter(**wanted), after=None, limit=100)
    return [one.name for one in found]


async def test_the_same_bytes_are_one_object(connection: DirectConnection, tenant: int, execution_id: str) -> None:
    first = await keep(connection, file_of(execution_id, tenant), f"first-{tenant}")
    second = await keep(connection, file_of(execution_id, tenant, name="b.log"), f"second-{tenant}")

    assert first.artifact_id != second.artifact_id
    assert first.object_name == second.object_name == f"first-{tenant}"
    rows = await connection.fetch("SELECT object_name FROM blobs WHERE tenant_id = $1", tenant)
    assert [row["object_name"] for row in rows] == [f"first-{tenant}"]


async def test_the_bytes_of_another_tenant_are_not_shared(
    connection: DirectConnection, tenant: int, other_tenant: int, execution_id: str
) -> None:
    theirs = await executed(connection, other_tenant)
    await keep(connection, file_of(theirs, other_tenant), f"theirs-{tenant}")
    kept = await keep(connection, file_of(execution_id, tenant), f"ours-{tenant}")
    assert kept.object_name == f"ours-{tenant}"

    mine = file_of(execution_id, tenant, b"only theirs")
    await keep(connection, file_of(theirs, other_tenant, b"only theirs"), f"only-theirs-{tenant}")
    assert (await begin(connection, mine)).object_name is None


async def test_the_same_file_again_is_the_same_artifact(
    connection: DirectConnection, tenant: int, execution_id: str
) -> None:
    first = await keep(connection, file_of(execution_id, tenant), f"first-{tenant}")
    assert await keep(connection, file_of(execution_id, tenant), f"second-{tenant}") == first
    others = [
        file_of(execution_id, tenant, **fields)
        for fields in (
            {"shard_id": "2"},
            {"kind": Kind.TRACES},
            {"name": "b.log"},
            {"test": "logs in"},
            {"file": "a.js"},
            {"attempt": 1},
        )
    ]
    kept = [await keep(connection, other, f"other-{tenant}") for other in others]
    assert len({first.artifact_id, *(one.artifact_id for one in kept)}) == 7


async def test_an_upload_begun_again_is_found_and_ends_as_the_artifact_it_was(
    connection: DirectConnection, tenant: int, execution_id: str
) -> None:
    begun = await begin(connection, file_of(execution_id, tenant))
    assert (await begin(connection, file_of(execution_id, tenant))).artifact_id == begun.artifact_id
    assert await names(connection, execution_id) == []

    kept = await keep(connection, begun, f"object-{tenant}")

    assert (kept.artifact_id, kept.stored_at) == (begun.artifact_id, NOW)
    assert await names(connection, execution_id) == ["a.log"]
    again = await begin(connection, file_of(execution_id, tenant, name="b.log"))
    assert again.object_name == f"object-{tenant}"  # the bytes are there already


async def test_artifacts_are_listed_by_what_they_are_of(
    connection: DirectConnection, tenant: int, execution_id: str
) -> None:
    bindings: list[dict[str, Any]] = [
        {"name": "shard.log"},
        {"name": "a.png", "kind": Kind.SCREENSHOTS, "test": "a", "file": "a.js", "attempt": 1},
        {"name": "b.png", "kind": Kind.SCREENSHOTS, "test": "a", "file": "a.js", "attempt": 2},
        {"name": "c.png", "kind": Kind.SCREENSHOTS, "test": "a", "file": "c.js", "shard_id": "2"},
    ]
    for binding in bindings:
        await keep(connection, file_of(execution_id, tenant, **binding), f"object-{tenant}")

    assert await names(connection, execution_id) == ["shard.log", "a.png", "b.png", "c.png"]
    assert await names(connection, execution_id, kind=Kind.SCREENSHOTS, shard=1) == ["a.png", "b.png"]
    assert await names(connection, execution_id, test="a", file="c.js") == ["c.png"]
    assert await names(connection, execution_id, attempt=2) == ["b.png"]
    pages: list[str] = []
    after = None
    while True:
        found, after = await artifacts.page(connection, execution_id, ArtifactFilter(), after=after, limit=3)
        pages += [one.name for one in found]
        if after is None:
            break
    assert pages == ["shard.log", "a.png", "b.png", "c.png"]


async def test_an_execution_has_room_for_so_much(
    connection: DirectConnection, tenant: int, execution_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kept(size: int, name: str) -> Artifact:
        async with connection.transaction():
            return await keep(connection, file_of(execution_id, tenant, b"x" * size, name=name), name)

    await kept(ROOM - 1, "a.log")
    with pytest.raises(TooLarge, match=str(ROOM)):
        await kept(2, "b.log")
    await kept(ROOM - 1, "a.log")  # the same again takes no room
    await kept(1, "b.log")
    monkeypatch.setattr(artifacts, "MOST_ARTIFACTS", 2)
    with pytest.raises(TooLarge, match="2 artifacts"):
        await kept(0, "c.log")


async def test_several_at_once_do_not_fill_the_same_room(
    connection: DirectConnection, reader: Reader, tenant: int, execution_id: str
) -> None:
    async def kept(number: int) -> bool:
        try:
            async with reader.tenant(tenant, write=True) as view:
                content = bytes([number]) * (ROOM - 1)
                await keep(view, file_of(execution_id, tenant, content), f"object-{tenant}-{number}")
        except TooLarge:
            return False
        return True

    assert sorted(await asyncio.gather(*(kept(number) for number in range(4)))) == [False, False, False, True]
    rows = await connection.fetch("SELECT object_name FROM blobs WHERE tenant_id = $1", tenant)
    assert len(rows) == 1


async def test_the_same_file_sent_many_times_at_once_is_one(
    reader: Reader, connection: DirectConnection, tenant: int, execution_id: str
) -> None:
    async def kept(number: int) -> Artifact:
        async with reader.tenant(tenant, write=True) as view:
            return await keep(view, file_of(execution_id, tenant), f"object-{tenant}-{number}")

    assert len({one.artifact_id for one in await asyncio.gather(*(kept(number) for number in range(4)))}) == 1
    rows = await connection.fetch("SELECT object_name FROM artifacts WHERE execution_id = $1", execution_id)
    assert len(rows) == 1


async def test_other_tenants_see_nothing_and_change_nothing(
    reader: Reader, connection: DirectConnection, tenant: int, other_tenant: int, execution_id: str
) -> None:
    kept = await keep(connection, file_of(execution_id, tenant), f"object-{tenant}")

    async with reader.tenant(other_tenant, write=True) as view:
        with pytest.raises(NotFound):
            await artifacts.get(view, execution_id, kept.artifact_id)
        with pytest.raises(NotFound):
            await artifacts.delete(view, execution_id, kept.artifact_id)
        assert await names(view, execution_id) == []
    for forged in (
        file_of(execution_id, tenant, name="as-if-theirs.log"),
        file_of(execution_id, other_tenant, name="forged.log", object_name=f"object-{tenant}", stored_at=NOW),
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ForeignKeyViolationError)):
            async with reader.tenant(other_tenant, write=True) as view:
                await artifacts._insert(view, forged, ROOM)


async def test_an_artifact_never_lacks_its_bytes(connection: DirectConnection, tenant: int, execution_id: str) -> None:
    kept = await keep(connection, file_of(execution_id, tenant), f"object-{tenant}")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute("DELETE FROM blobs WHERE tenant_id = $1", tenant)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE artifacts SET stored_at = NULL WHERE artifact_id = $1", kept.artifact_id)


async def test_artifacts_go_with_their_execution(connection: DirectConnection, tenant: int, execution_id: str) -> None:
    await keep(connection, file_of(execution_id, tenant, created_at=NOW - timedelta(days=1)), f"object-{tenant}")
    await connection.execute("DELETE FROM executions WHERE execution_id = $1", execution_id)
    assert await names(connection, execution_id) == []
