"""Files that a shard left behind, sent to a server: small ones at once, large ones in parts that can be resumed."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tms_sdk.errors import ReportError
from tms_sdk.forms import size_of
from tms_sdk.wire import Artifact

AT_ONCE_BYTES = 1024 * 1024
"""What is larger goes in parts: of a request that is cut off, nothing arrives."""

Call = Callable[..., dict[str, Any]]


def name_of(path: Path) -> str:
    """Return what a file is called on the server: its path, where that leads down from here; else its last part."""
    leads_down = not path.is_absolute() and ".." not in path.parts
    return path.as_posix() if leads_down else path.name


def upload(call: Call, execution: str, path: Path, about: dict[str, Any]) -> Artifact:
    """Send a file.

    Args:
        call: calls a route, as the client does.
        execution: the path of its execution.
        path: the file.
        about: its shard, its name and what else is known of it.

    Raises:
        ReportError: it cannot be read, or changes while it is sent.
    """
    size, digest = size_of(path), _digest(path)
    route, expect = f"{execution}/artifacts", ("artifactId", "status")
    if size <= AT_ONCE_BYTES:
        content, query = _read(path, 0, size), {**about, "sha256": digest}
        return cast("Artifact", call("POST", route, body=content, query=query, expect=expect))
    begun = call("POST", f"{execution}/artifact-uploads", body={**about, "size": size, "sha256": digest}, expect=expect)
    if begun["status"] == "stored":
        return cast("Artifact", begun)
    route, length = f"{route}/{begun['artifactId']}", begun["parts"]["partBytes"]
    for number in begun["parts"]["missing"]:
        start = (number - 1) * length
        call("PUT", f"{route}/parts/{number}", body=_read(path, start, min(start + length, size)))
    return cast("Artifact", call("POST", f"{route}/complete", expect=expect))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReportError(path, error.strerror or str(error)) from error


def _read(path: Path, start: int, end: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
    except OSError as error:
        raise ReportError(path, error.strerror or str(error)) from error
    if len(content) != end - start:
        raise ReportError(path, "it was written to while it was sent")
    return content
