"""Bytes of artifacts: objects in a folder of this machine, or in a bucket of S3, Google Cloud Storage or Azure.

An object is written once, under a name that no other has, and never changed. It is there whole or not at all; in a
folder it is on the disk before its writer is told so.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from orchestrator import ids
from orchestrator.errors import Misconfigured, Unavailable

if TYPE_CHECKING:  # its stubs alone have it
    from obstore.store import ObjectStore

WINDOW_BYTES: Final = 4 * 1024 * 1024
"""An object is read in windows of this length, so that a slow reader holds no request to the store open."""

RETRY_SECONDS = 10.0
"""How long a bucket that does not answer is asked again."""

_PIECE_BYTES: Final = 5 * 1024 * 1024
_PIECES_AT_ONCE: Final = 2
_LISTED_AT_ONCE: Final = 1000
# The store's own mark of files that are not whole yet.
_STAGED: Final = "#"
_NEXT_LINE: Final = "\n"  # behind the first, errors show how they are built


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object in the store: what it is called, and when it was written."""

    name: str
    written_at: datetime


class Blobs:
    """The store of objects. Every method raises `Unavailable` where the store is away, or refuses.

    Args:
        store: where they are.
        folder: the same as a path, if it is a folder of this machine.
    """

    def __init__(self, store: "ObjectStore", folder: Path | None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str | None, folder: Path) -> Self:
        """The store that the settings name.

        Args:
            url: of a bucket; its credentials are where the provider's own tools have them.
            folder: to use where there is no URL; made if need be.

        Raises:
            Misconfigured: the folder cannot be made, or the URL is of no store.
        """
        try:
            if url is not None:
                return cls(from_url(url, retry_config={"retry_timeout": timedelta(seconds=RETRY_SECONDS)}), None)
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder, automatic_cleanup=True), folder)
        except OSError as error:
            raise Misconfigured(f"Artifacts cannot be kept in {folder}: {error}") from error
        except (BaseError, ValueError) as error:
            raise Misconfigured(f"TMS_ARTIFACTS_URL: {str(error).partition(_NEXT_LINE)[0]}") from error

    @staticmethod
    def new_name(now: datetime) -> str:
        """A name for an object that is to be written: in a folder for each day, so that none becomes too full."""
        return f"blobs/{now:%Y-%m-%d}/{ids.new_id('blb', now)}"

    @staticmethod
    def part_name(artifact_id: str, number: int) -> str:
        """The name of a part of an artifact that is still coming."""
        return f"{_parts(artifact_id)}/{number}"

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object, while its pieces come; what goes wrong with them goes wrong here, and leaves nothing.

        Raises:
            Unavailable: the store is away.
        """
        passed: list[BaseException] = []

        async def watched() -> AsyncIterator[bytes]:
            try:
                async for piece in pieces:
                    yield piece
            except BaseException as error:
                passed.append(error)
                raise

        try:
            with _translated():
                await obstore.put_async(
                    self._store, name, watched(), chunk_size=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE
                )
                await self._settle(name)
        except Exception:
            if passed:
                raise passed[0] from None
            raise

    async def put_whole(self, name: str, content: bytes) -> None:
        """Write an object that is at hand; one of this name is replaced."""
        with _translated():
            await obstore.put_async(self._store, name, content, use_multipart=False)
            await self._settle(name)

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes of an object from `start` up to, not including, `end`, window by window."""
        for at in range(start, end, WINDOW_BYTES):
            with _translated():
                window = await obstore.get_range_async(self._store, name, start=at, end=min(at + WINDOW_BYTES, end))
            yield bytes(window)

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are deleted already."""
        with _translated():
            try:
                await obstore.delete_async(self._store, names)
            except FileNotFoundError:  # some stores stop at the first that is not there
                for name in names:
                    with suppress(FileNotFoundError):
                        await obstore.delete_async(self._store, name)

    async def parts(self, artifact_id: str) -> list[int]:
        """The numbers of the parts that are there."""
        return sorted([int(one.name.rpartition("/")[2]) async for one in self.listed(_parts(artifact_id))])

    async def delete_parts(self, artifact_id: str) -> None:
        """Delete all parts that are there."""
        await self.delete([one.name async for one in self.listed(_parts(artifact_id))])

    async def listed(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects whose names begin with this folder."""
        with _translated():
            stream = obstore.list(self._store, prefix, chunk_size=_LISTED_AT_ONCE)
            async for chunk in stream:
                for found in chunk:
                    yield ObjectInfo(found["path"], found["last_modified"])

    async def delete_staged(self, before: datetime) -> None:
        """Delete files that a killed process left half written, last touched before this; the store lists no such."""
        if self._folder is not None:
            await asyncio.to_thread(_delete_staged, self._folder, before)

    async def _settle(self, name: str) -> None:
        if self._folder is not None:
            await asyncio.to_thread(_settle, self._folder, self._folder / name)


def _parts(artifact_id: str) -> str:
    return f"parts/{artifact_id}"


def _settle(folder: Path, path: Path) -> None:
    """Have a file and all folders above it on the disk."""
    for one in (path, *path.parents):
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if one == folder:
            break


def _delete_staged(folder: Path, before: datetime) -> None:
    for path in folder.glob(f"*/*/*{_STAGED}*"):
        try:
            found = path.stat()
        except FileNotFoundError:  # it was finished just now
            continue
        if stat.S_ISREG(found.st_mode) and datetime.fromtimestamp(found.st_mtime, UTC) < before:
            path.unlink(missing_ok=True)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise `Unavailable` for what the store cannot do."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise Unavailable(f"The store of artifacts is not available ({type(error).__name__}); try again") from error
