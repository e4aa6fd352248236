"""Reports as a form (RFC 7578), read while they are sent."""

import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tms_sdk.errors import ReportError
from tms_sdk.records import clean

_FIELD = "files"
_PIECE_BYTES = 64 * 1024


class ReportForm:
    """The body of an upload. Each iteration reads the files anew, one open at a time, so it can be sent again.

    Attributes:
        headers: Content-Type and Content-Length; with a length, a server can refuse what is too large unread.

    Raises:
        ReportError: a file cannot be read, or, while it is sent, changes.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        boundary = uuid.uuid4().hex
        self._files = [(path, size_of(path), _head(boundary, path)) for path in files]
        self._end = f"--{boundary}--\r\n".encode()
        length = sum(len(head) + size + len(b"\r\n") for _, size, head in self._files) + len(self._end)
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}

    def __iter__(self) -> Iterator[bytes]:
        for path, size, head in self._files:
            yield head
            yield from _pieces(path, size)
            yield b"\r\n"
        yield self._end


def size_of(path: Path) -> int:
    """Return the bytes of a file that can be read.

    Raises:
        ReportError: it is missing, may not be read, or is a folder or a pipe, which could not be sent again.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReportError(path, "not a regular file")
        with path.open("rb"):
            return status.st_size
    except OSError as error:
        raise ReportError(path, error.strerror or str(error)) from error


def _head(boundary: str, path: Path) -> bytes:
    """Begin a part. The name is the path as it was given: files of several folders often have the same name."""
    name = "".join(char if char.isprintable() else "?" for char in clean(str(path)))
    name = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{_FIELD}"; filename="{name}"\r\n\r\n'.encode()


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    left = size
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
    except OSError as error:
        raise ReportError(path, error.strerror or str(error)) from error
    if left:
        raise ReportError(path, "it was written to while it was sent")
