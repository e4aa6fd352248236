"""What kind of file a test left behind, by its name."""

from enum import StrEnum


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


def kind(path: str) -> Kind:
    """Among which artifacts it is listed; what is unknown is a log."""
    return _look_up(path)[0]


def content_type(path: str) -> str:
    """Its media type."""
    return _look_up(path)[1]


def _look_up(path: str) -> tuple[Kind, str]:
    return _KNOWN.get(path.rpartition(".")[2].lower(), _UNKNOWN)
