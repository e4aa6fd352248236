"""What a file is, by its name, and whether its first bytes agree."""

import pytest

from orchestrator.artifacts import kinds
from orchestrator.artifacts.kinds import Kind
from orchestrator.errors import ValidationFailed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HEADS = {
    "a.png": PNG,
    "a.JPG": b"\xff\xd8\xff\xe0" + bytes(8),
    "a.jpeg": b"\xff\xd8\xff\xe1" + bytes(8),
    "a.gif": b"GIF89a" + bytes(6),
    "a.webp": b"RIFF\x00\x00\x00\x00WEBP",
    "a.mp4": b"\x00\x00\x00\x18ftypmp42",
    "a.webm": b"\x1a\x45\xdf\xa3" + bytes(8),
}
PAGE = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("name", "kind", "media", "shown_as"),
    [
        ("login/a.PNG", Kind.SCREENSHOTS, "image/png", "image/png"),
        ("a.svg", Kind.SCREENSHOTS, "image/svg+xml", None),
        ("a.mp4", Kind.VIDEOS, "video/mp4", "video/mp4"),
        ("trace.zip", Kind.TRACES, "application/zip", None),
        ("a.log", Kind.LOGS, "text/plain", "text/plain; charset=utf-8"),
        ("a.json", Kind.LOGS, "application/json", "text/plain; charset=utf-8"),
        ("a.html", Kind.LOGS, "text/html", None),
        ("a.xml", Kind.LOGS, "application/xml", None),
        ("a.png.html", Kind.LOGS, "text/html", None),
        ("core", Kind.LOGS, "application/octet-stream", None),
        ("a.htm", Kind.LOGS, "application/octet-stream", None),
    ],
)
def test_a_name_tells_what_a_file_is(name: str, kind: Kind, media: str, shown_as: str | None) -> None:
    assert (kinds.kind(name), kinds.content_type(name), kinds.shown_as(name)) == (kind, media, shown_as)


@pytest.mark.parametrize("name", ["a.png", "A.SVG"])
def test_screenshots_are_images_and_videos_are_videos(name: str) -> None:
    kinds.check_kind(name, Kind.SCREENSHOTS)
    with pytest.raises(ValidationFailed) as refused:
        kinds.check_kind(name, Kind.VIDEOS)
    assert [detail.field for detail in refused.value.details] == ["name"]


@pytest.mark.parametrize("kind", [Kind.TRACES, Kind.LOGS])
def test_traces_and_logs_are_whatever_a_tool_writes(kind: Kind) -> None:
    for name in ("a.png", "trace.zip", "core", "a.html"):
        kinds.check_kind(name, kind)


@pytest.mark.parametrize("name", list(HEADS))
def test_an_image_or_video_begins_as_one(name: str) -> None:
    kinds.check_content(name, HEADS[name])
    for head in (PAGE[: kinds.SIGNATURE_BYTES], b"", HEADS[name][:2], b"\n" + HEADS[name]):
        with pytest.raises(ValidationFailed):
            kinds.check_content(name, head)


@pytest.mark.parametrize("name", ["a.html", "a.log", "a.zip", "a.svg", "core"])
def test_other_files_may_begin_as_they_like(name: str) -> None:
    for head in (PAGE, PNG, b""):
        kinds.check_content(name, head)
