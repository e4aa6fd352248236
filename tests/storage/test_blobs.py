"""The store of bytes, over a real folder: whole objects or none."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.errors import Misconfigured, TooLarge, Unavailable
from storage.blobs import WINDOW_BYTES, Blobs
from tests.storage.s3 import Bucket

NOW = datetime(2026, 11, 25, tzinfo=UTC)


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def whole(blobs: Blobs, name: str, start: int, end: int) -> bytes:
    return b"".join([window async for window in blobs.read(name, start, end)])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    """A bucket, and the environment in which S3's own tools would find it."""
    async with Bucket("bucket") as serving:
        for name, value in (
            ("AWS_ENDPOINT", serving.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ):
            monkeypatch.setenv(name, value)
        yield serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def blobs(folder: Path) -> Blobs:
    return Blobs.open(None, folder)


async def test_what_was_written_is_read_in_whole_and_in_part(blobs: Blobs) -> None:
    content = os.urandom(2 * WINDOW_BYTES + 1)
    name = blobs.new_name(NOW)

    await blobs.put(name, pieces_of(content[:10], b"", content[10:]))

    assert await whole(blobs, name, 0, len(content)) == content
    assert await whole(blobs, name, 5, WINDOW_BYTES + 7) == content[5 : WINDOW_BYTES + 7]
    assert await whole(blobs, name, 5, 5) == b""


async def test_an_empty_object_is_an_object(blobs: Blobs, folder: Path) -> None:
    name = blobs.new_name(NOW)
    await blobs.put(name, pieces_of())
    assert files(folder) == [name]


@pytest.mark.parametrize("size", [0, 10, 20 * 1024 * 1024])
async def test_what_goes_wrong_with_the_pieces_goes_wrong_as_it_is_and_leaves_nothing(
    blobs: Blobs, folder: Path, size: int
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * size
        raise TooLarge("too large")

    with pytest.raises(TooLarge, match="too large"):
        await blobs.put(blobs.new_name(NOW), broken())
    assert files(folder) == []


async def test_parts_are_numbered_and_replaced(blobs: Blobs) -> None:
    for number, content in ((10, b"a"), (2, b"b"), (10, b"c")):
        await blobs.put_whole(blobs.part_name("art_1", number), content)
    await blobs.put_whole(blobs.part_name("art_10", 3), b"of another")

    assert await blobs.parts("art_1") == [2, 10]
    assert await whole(blobs, blobs.part_name("art_1", 10), 0, 1) == b"c"
    await blobs.delete_parts("art_1")
    assert (await blobs.parts("art_1"), await blobs.parts("art_10")) == ([], [3])


async def test_what_is_not_there_is_deleted_already(blobs: Blobs) -> None:
    await blobs.delete([blobs.new_name(NOW)])


async def test_what_is_not_there_cannot_be_read(blobs: Blobs) -> None:
    with pytest.raises(Unavailable):
        await whole(blobs, blobs.new_name(NOW), 0, 1)


async def test_files_that_a_killed_process_left_half_written_are_deleted_when_they_are_old(
    blobs: Blobs, folder: Path
) -> None:
    await blobs.put_whole(blobs.part_name("art_1", 1), b"whole")
    old, fresh = folder / "parts" / "art_1" / "2#1", folder / "parts" / "art_1" / "3#1"
    for path in (old, fresh, folder / "parts" / "art_1" / "1"):
        path.write_bytes(b"half")
    for path in (old, folder / "parts" / "art_1" / "1"):
        os.utime(path, (0, 0))

    await blobs.delete_staged(datetime.now(UTC) - timedelta(hours=1))

    assert files(folder) == ["parts/art_1/1", "parts/art_1/3#1"]
    assert await blobs.parts("art_1") == [1]


def test_a_folder_that_cannot_be_made_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="file"):
        Blobs.open(None, tmp_path / "file" / "artifacts")


@pytest.mark.parametrize("url", ["s3://bucket/folder", "gs://bucket", "az://account/container"])
def test_buckets_are_named_by_url(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    Blobs.open(url, tmp_path / "unused")
    assert not (tmp_path / "unused").exists()


def test_a_url_that_lacks_something_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"^TMS_ARTIFACTS_URL: .*Account must be specified$"):
        Blobs.open("az://account/container", tmp_path)


async def test_a_bucket_keeps_the_same_as_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    blobs = Blobs.open("s3://bucket/tms", tmp_path)
    large, name = os.urandom(12 * 1024 * 1024), blobs.new_name(NOW)

    await blobs.put(name, pieces_of(large[:10], large[10:]))
    for number in (2, 1):
        await blobs.put_whole(blobs.part_name("art_1", number), b"part")

    assert bucket.objects == {f"tms/{name}": large, "tms/parts/art_1/1": b"part", "tms/parts/art_1/2": b"part"}
    assert await whole(blobs, name, 5, len(large) - 1) == large[5:-1]
    assert await blobs.parts("art_1") == [1, 2]
    assert [one.name async for one in blobs.listed("blobs")] == [name]
    await blobs.delete_parts("art_1")
    await blobs.delete([name, name])
    assert (bucket.objects, bucket.uploads) == ({}, {})


async def test_what_goes_wrong_leaves_nothing_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(12 * 1024 * 1024)
        raise TooLarge("too large")

    blobs = Blobs.open("s3://bucket", tmp_path)
    with pytest.raises(TooLarge):
        await blobs.put(blobs.new_name(NOW), broken())
    assert (bucket.objects, bucket.uploads) == ({}, {})


async def test_a_bucket_that_is_away_is_waited_for_a_while_only(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.blobs.RETRY_SECONDS", 0.0)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    blobs = Blobs.open("s3://bucket", tmp_path)
    assert bucket.endpoint
    for doing in (blobs.put_whole("a", b""), blobs.delete(["a"]), blobs.parts("art_1"), whole(blobs, "a", 0, 1)):
        with pytest.raises(Unavailable):
            await doing
