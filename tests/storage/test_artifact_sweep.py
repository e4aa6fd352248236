"""What is forgotten of artifacts, and what must not be, whoever uploads meanwhile."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.artifacts.model import UNFINISHED_HOURS, Artifact
from orchestrator.errors import NotFound
from storage import artifact_sweep, artifacts
from storage.blobs import Blobs
from storage.postgres import DirectConnection
from tests.files import NOW, executed, file_of
from tests.patience import eventually

DAYS = 7
OLD = NOW - timedelta(days=DAYS, seconds=1)
LONG_AGO = NOW - timedelta(hours=UNFINISHED_HOURS, seconds=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def blobs(folder: Path) -> Blobs:
    return Blobs.open(None, folder)


@pytest.fixture
async def alone(connection: DirectConnection) -> DirectConnection:
    """A connection, and no artifact of another test."""
    await connection.execute("DELETE FROM artifacts")
    await connection.execute("DELETE FROM blobs")
    return connection


async def put(blobs: Blobs, folder: Path, name: str, written: datetime = NOW) -> str:
    await blobs.put_whole(name, b"content")
    os.utime(folder / name, (written.timestamp(), written.timestamp()))
    return name


async def stored(connection: DirectConnection, blobs: Blobs, folder: Path, artifact: Artifact) -> Artifact:
    name = await put(blobs, folder, blobs.new_name(NOW))
    return await artifacts.keep(connection, artifact, name, artifact.created_at, most_bytes=10**6)


def objects(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def is_there(connection: DirectConnection, artifact: Artifact) -> bool:
    try:
        await artifacts.get(connection, artifact.execution_id, artifact.artifact_id)
    except NotFound:
        return False
    return True


async def test_artifacts_are_kept_so_many_days_after_the_end_of_their_execution(
    alone: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    ended, ended_lately, runs = [await executed(alone, tenant, at) for at in (OLD, NOW - timedelta(days=1), None)]
    made = {
        execution_id: await stored(
            alone, blobs, folder, file_of(execution_id, tenant, execution_id.encode(), created_at=OLD)
        )
        for execution_id in (ended, ended_lately, runs)
    }
    came_late = await stored(alone, blobs, folder, file_of(ended, tenant, b"late", name="late.log"))

    await artifact_sweep.sweep(alone, blobs, NOW, 0)
    assert all([await is_there(alone, one) for one in made.values()])
    await artifact_sweep.sweep(alone, blobs, NOW, DAYS)

    left = [execution_id for execution_id, one in made.items() if await is_there(alone, one)]
    assert left == [ended_lately, runs]
    assert await is_there(alone, came_late)
    assert objects(folder) == {made[ended_lately].object_name, made[runs].object_name, came_late.object_name}


async def test_bytes_go_with_the_last_artifact_that_shares_them(
    alone: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    execution_id = await executed(alone, tenant)
    first = await stored(alone, blobs, folder, file_of(execution_id, tenant))
    second = await artifacts.keep(alone, file_of(execution_id, tenant, name="b.log"), "other", NOW, most_bytes=10**6)
    assert second.object_name == first.object_name

    await artifacts.delete(alone, execution_id, first.artifact_id)
    await artifact_sweep.sweep(alone, blobs, NOW, 0)
    assert objects(folder) == {first.object_name}
    await artifacts.delete(alone, execution_id, second.artifact_id)
    await artifact_sweep.sweep(alone, blobs, NOW, 0)
    assert objects(folder) == set()


async def test_uploads_that_never_ended_are_forgotten_with_their_parts(
    alone: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    execution_id = await executed(alone, tenant)
    abandoned, going_on = [
        await artifacts.begin(
            alone, file_of(execution_id, tenant, name=name, created_at=at), None, at, most_bytes=10**6
        )
        for name, at in (("a.log", LONG_AGO), ("b.log", NOW))
    ]
    # A part may be old while its upload goes on: its runner waited for the network.
    kept = await put(blobs, folder, blobs.part_name(going_on.artifact_id, 1), LONG_AGO)
    await put(blobs, folder, blobs.part_name(abandoned.artifact_id, 1), LONG_AGO)

    await artifact_sweep.sweep(alone, blobs, NOW, 0)

    assert (await is_there(alone, abandoned), await is_there(alone, going_on)) == (False, True)
    assert objects(folder) == {kept}


async def test_what_a_crash_left_is_deleted_when_no_upload_can_need_it_any_more(
    alone: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    execution_id = await executed(alone, tenant)
    kept = await stored(alone, blobs, folder, file_of(execution_id, tenant))
    os.utime(folder / str(kept.object_name), (0, 0))
    fresh = await put(blobs, folder, blobs.new_name(NOW))
    await put(blobs, folder, blobs.new_name(NOW), LONG_AGO)
    await put(blobs, folder, blobs.part_name(kept.artifact_id, 1), LONG_AGO)  # of an upload that ended
    staged = folder / "blobs" / "2026-11-25" / "blb_1#1"
    staged.write_bytes(b"half")
    os.utime(staged, (0, 0))

    await artifact_sweep.sweep(alone, blobs, NOW, 0)

    assert objects(folder) == {kept.object_name, fresh}


async def test_all_is_forgotten_however_many_batches_it_takes(
    alone: DirectConnection, tenant: int, blobs: Blobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_sweep, "BATCH", 2)
    execution_id = await executed(alone, tenant, OLD)
    for number in range(5):
        await stored(alone, blobs, folder, file_of(execution_id, tenant, bytes([number]), created_at=OLD))
        await put(blobs, folder, blobs.new_name(NOW), LONG_AGO)
    await artifact_sweep.sweep(alone, blobs, NOW, DAYS)
    assert objects(folder) == set()


async def test_bytes_that_an_upload_shares_at_the_same_moment_stay(
    alone: DirectConnection, second: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    execution_id = await executed(alone, tenant)
    first = await stored(alone, blobs, folder, file_of(execution_id, tenant))
    await artifacts.delete(alone, execution_id, first.artifact_id)

    async with second.transaction():  # an upload of the same bytes, not committed yet
        again = await artifacts.keep(second, file_of(execution_id, tenant), "another", NOW, most_bytes=10**6)
        await artifact_sweep.sweep(alone, blobs, NOW, 0)

    assert again.object_name == first.object_name
    await artifact_sweep.sweep(alone, blobs, NOW, 0)
    assert objects(folder) == {first.object_name}


async def test_an_upload_of_bytes_that_are_being_swept_keeps_its_own(
    alone: DirectConnection, second: DirectConnection, tenant: int, blobs: Blobs, folder: Path
) -> None:
    execution_id = await executed(alone, tenant)
    first = await stored(alone, blobs, folder, file_of(execution_id, tenant))
    await artifacts.delete(alone, execution_id, first.artifact_id)
    own = await put(blobs, folder, blobs.new_name(NOW))

    async def is_waiting() -> bool:
        blocked: bool = await second.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", alone.get_server_pid())
        return blocked

    # A sweep that has deleted the row, and is about to delete the object.
    async with asyncio.TaskGroup() as tasks, second.transaction():
        await second.execute("DELETE FROM blobs WHERE object_name = $1", first.object_name)
        uploading = tasks.create_task(artifacts.keep(alone, file_of(execution_id, tenant), own, NOW, most_bytes=10**6))
        await eventually(is_waiting)

    assert uploading.result().object_name == own
