"""Archives with the source of a job: tar.gz or zip, read without trust.

Only plain files and folders below the top are taken: no path that leads out, no link, no device, and no more bytes than
there may be. What is refused is refused as a whole.
"""

import gzip
import io
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import IO

import msgspec

from orchestrator.errors import BadRequest

MOST_FILES = 20_000
MOST_BYTES = 256 * 1024 * 1024
"""Of all files together, unpacked."""

LONGEST_PATH = 1000
_CHUNK = 1024 * 1024
_MOST_HEADER = 4096
_ZIP = b"PK"


class UnreadableArchive(BadRequest):
    """An archive cannot be read, or holds what is not taken; the message says what."""

    code = "UNREADABLE_ARCHIVE"


class Member(msgspec.Struct, frozen=True):
    """One file in it: a path below the top, and whether it may be executed."""

    path: str
    is_executable: bool
    chunks: Iterator[bytes]


class Summary(msgspec.Struct, frozen=True):
    """What an archive holds; `digest` is that of its own bytes (SHA-256, hex)."""

    digest: str
    files: int
    unpacked_bytes: int


def summary(content: bytes) -> Summary:
    """Read an archive from end to end.

    Raises:
        UnreadableArchive: as `members`.
    """
    files = size = 0
    for member in members(content):
        files += 1
        size += sum(map(len, member.chunks))
    if not files:
        raise UnreadableArchive("There is no file in the archive")
    return Summary(sha256(content).hexdigest(), files, size)


def members(content: bytes) -> Iterator[Member]:
    """The files, one after the other; each is to be read before the next.

    Raises:
        UnreadableArchive: it is neither tar.gz nor zip, is damaged, or holds what is not taken.
    """
    room = _Room()
    try:
        yield from (_of_zip if content.startswith(_ZIP) else _of_tar)(content, room)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
    ) as error:
        raise UnreadableArchive(f"The archive is neither a tar.gz nor a zip, or is damaged: {error}") from None
    except RuntimeError as error:  # how zipfile says that a password is needed
        raise UnreadableArchive(f"The archive cannot be read: {error}") from None


class _Room:
    """What may still come; the sizes that an archive declares are not believed."""

    def __init__(self) -> None:
        self._files = MOST_FILES
        self._bytes = MOST_BYTES
        self._taken: set[str] = set()

    def enter(self, path: str) -> str:
        """Take one more file."""
        checked = _checked(path)
        self._files -= 1
        if self._files < 0:
            raise UnreadableArchive(f"There are more than {MOST_FILES} files in the archive")
        if checked in self._taken:
            raise UnreadableArchive(f"{checked} is in the archive twice")
        self._taken.add(checked)
        return checked

    def chunks(self, source: IO[bytes]) -> Iterator[bytes]:
        """The content of a file, as long as there is room for it."""
        while chunk := source.read(_CHUNK):
            self._bytes -= len(chunk)
            if self._bytes < 0:
                raise UnreadableArchive(f"The archive has more than {MOST_BYTES} bytes when it is unpacked")
            yield chunk


def _checked(path: str) -> str:
    plain = posixpath.normpath(path)
    is_below = not plain.startswith(("/", "../")) and plain not in ("..", ".")
    if not is_below or "\\" in path or "\0" in path or ":" in plain.partition("/")[0] or len(plain) > LONGEST_PATH:
        raise UnreadableArchive(f"{path[:LONGEST_PATH]!r} is no path below the archive's top")
    if not plain.isprintable():
        raise UnreadableArchive(f"{path[:LONGEST_PATH]!r} is no path that can be printed")
    return plain


class _Unpacked(io.RawIOBase):
    """A gzip file's content, no more of it than there is room for whatever it is; tarfile keeps whole headers."""

    def __init__(self, content: bytes) -> None:
        self._source = gzip.GzipFile(fileobj=io.BytesIO(content))
        self._left = MOST_BYTES + MOST_FILES * _MOST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise UnreadableArchive(f"The archive has more than {MOST_BYTES} bytes when it is unpacked")
        return chunk


def _of_tar(content: bytes, room: _Room) -> Iterator[Member]:
    # As a stream: a member is unpacked only when it is read, and nothing is read twice.
    unpacked = _Unpacked(content)
    with tarfile.open(fileobj=unpacked, mode="r|") as archive:
        for entry in archive:
            if entry.isdir():
                continue
            if not entry.isreg():
                raise UnreadableArchive(f"{entry.name!r} is neither a file nor a folder; links are not taken")
            path = room.enter(entry.name)
            source = archive.extractfile(entry) or io.BytesIO()
            yield Member(path, bool(entry.mode & stat.S_IXUSR), room.chunks(source))
    while unpacked.read(_CHUNK):  # to the end, where one that was cut off is found out
        pass


def _of_zip(content: bytes, room: _Room) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if entry.is_dir():
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise UnreadableArchive(f"{entry.filename!r} is neither a file nor a folder; links are not taken")
            path = room.enter(entry.filename)
            with archive.open(entry) as source:
                yield Member(path, bool(mode & stat.S_IXUSR), room.chunks(source))
