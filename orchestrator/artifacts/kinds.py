"""What kind of file a test left behind, by its name, and which of them a browser may show.

A file's type is told by its name alone. What a client says of it is not believed, for what is served with our origin
depends on it.
"""

from enum import StrEnum
from typing import Final

import msgspec

from orchestrator.errors import FieldError, ValidationFailed


class Kind(StrEnum):
    """The kinds of artifacts that a shard has (X-056)."""

    SCREENSHOTS = "screenshots"
    VIDEOS = "videos"
    TRACES = "traces"
    LOGS = "logs"


_KNOWN = {
    "png": (Kind.SCREENSHOTS, "image/png"),
    "jpg": (Kind.SCREENSHOTS, "image/jpeg"),
    "jpeg": (Kind.SCREENSHOTS, "image/jpeg"),
    "gif": (Kind.SCREENSHOTS, "image/gif"),
    "webp": (Kind.SCREENSHOTS, "image/webp"),
    "bmp": (Kind.SCREENSHOTS, "image/bmp"),
    "svg": (Kind.SCREENSHOTS, "image/svg+xml"),
    "mp4": (Kind.VIDEOS, "video/mp4"),
    "webm": (Kind.VIDEOS, "video/webm"),
    "mov": (Kind.VIDEOS, "video/quicktime"),
    "avi": (Kind.VIDEOS, "video/x-msvideo"),
    "zip": (Kind.TRACES, "application/zip"),
    "har": (Kind.TRACES, "application/json"),
    "log": (Kind.LOGS, "text/plain"),
    "txt": (Kind.LOGS, "text/plain"),
    "json": (Kind.LOGS, "application/json"),
    "html": (Kind.LOGS, "text/html"),
    "xml": (Kind.LOGS, "application/xml"),
}
_UNKNOWN = (Kind.LOGS, "application/octet-stream")

_CLOSED = {
    kind: tuple(suffix for suffix, (known, _) in _KNOWN.items() if known is kind)
    for kind in (Kind.SCREENSHOTS, Kind.VIDEOS)
}
"""Kinds that take certain files only; traces and logs take any, since every tool writes them its own way."""

_TEXT: Final = "text/plain; charset=utf-8"
_SHOWN = {
    **{media: media for media in ("image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/webm")},
    "text/plain": _TEXT,
    "application/json": _TEXT,
}
SHOWN: Final = tuple(media.partition(";")[0] for media in dict.fromkeys(_SHOWN.values()))
"""What a browser may show: nothing in which a script could run."""

SIGNATURE_BYTES: Final = 12
"""So many first bytes tell whether a file is what its name says."""


class _Signature(msgspec.Struct, frozen=True):
    at: int
    starts: tuple[bytes, ...]


_SIGNATURES = {
    "image/png": _Signature(0, (b"\x89PNG\r\n\x1a\n",)),
    "image/jpeg": _Signature(0, (b"\xff\xd8\xff",)),
    "image/gif": _Signature(0, (b"GIF87a", b"GIF89a")),
    "image/webp": _Signature(8, (b"WEBP",)),
    "video/mp4": _Signature(4, (b"ftyp",)),
    "video/webm": _Signature(0, (b"\x1a\x45\xdf\xa3",)),
}


def kind(path: str) -> Kind:
    """Among which artifacts it is listed; what is unknown is a log."""
    return _look_up(path)[0]


def content_type(path: str) -> str:
    """Its media type."""
    return _look_up(path)[1]


def shown_as(path: str) -> str | None:
    """The media type with which a browser may show it; None: it is for downloading only."""
    return _SHOWN.get(content_type(path))


def check_kind(path: str, wanted: Kind) -> None:
    """Let only those files be of a kind that can be.

    Raises:
        ValidationFailed: the name is that of another kind of file.
    """
    suffixes = _CLOSED.get(wanted)
    if suffixes is not None and _suffix(path) not in suffixes:
        raise ValidationFailed(FieldError("name", f"Must end in one of .{', .'.join(suffixes)} among {wanted}"))


def check_content(path: str, head: bytes) -> None:
    """Refuse an image or video that is none.

    Args:
        path: the file's name.
        head: its first `SIGNATURE_BYTES`, or all of a shorter one.

    Raises:
        ValidationFailed: it does not begin as such a file does.
    """
    media = content_type(path)
    signature = _SIGNATURES.get(media)
    if signature is not None and not head[signature.at :].startswith(signature.starts):
        raise ValidationFailed(FieldError("body", f"Must be {media}, as its name says"))


def _look_up(path: str) -> tuple[Kind, str]:
    return _KNOWN.get(_suffix(path), _UNKNOWN)


def _suffix(path: str) -> str:
    return path.rpartition(".")[2].lower()
