"""Archives are read without trust."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from orchestrator.jobs import archives
from orchestrator.jobs.archives import UnreadableArchive

FILES = {"tests/test_a.py": b"def test_a(): pass\n", "run.sh": b"#!/bin/sh\n"}


def tar(files: dict[str, bytes] | None = None, *others: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in (FILES if files is None else files).items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(content))
        for entry in others:
            archive.addfile(entry)
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def zipped(files: dict[str, bytes] | None = None, mode: int = stat.S_IFREG | 0o755) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (FILES if files is None else files).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return made.getvalue()


@pytest.mark.parametrize("made", [tar, zipped])
def test_files_are_read_with_their_modes(made: Callable[[], bytes]) -> None:
    read = {one.path: (one.is_executable, b"".join(one.chunks)) for one in archives.members(made())}
    assert {path: content for path, (_, content) in read.items()} == FILES
    assert read["run.sh"][0]
    about = archives.summary(made())
    assert (about.files, about.unpacked_bytes) == (2, sum(map(len, FILES.values())))


def test_an_archive_is_known_by_its_bytes() -> None:
    content = zipped()
    assert archives.summary(content).digest == sha256(content).hexdigest()


@pytest.mark.parametrize("path", ["../up", "a/../../up", "/etc/passwd", "a\\..\\up", "C:/x", "a\nb", "x" * 1001])
@pytest.mark.parametrize("made", [tar, zipped])
def test_no_path_leads_out(made: Callable[[dict[str, bytes]], bytes], path: str) -> None:
    with pytest.raises(UnreadableArchive):
        archives.summary(made({path: b"x"}))


@pytest.mark.parametrize(
    "entry",
    [
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard", tarfile.LNKTYPE, "run.sh"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
    ],
    ids=lambda entry: entry.name,
)
def test_links_and_devices_are_not_taken(entry: tarfile.TarInfo) -> None:
    with pytest.raises(UnreadableArchive, match="neither a file nor a folder"):
        archives.summary(tar(FILES, entry))


def test_links_in_a_zip_are_not_taken() -> None:
    with pytest.raises(UnreadableArchive, match="neither a file nor a folder"):
        archives.summary(zipped({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777))


@pytest.mark.parametrize("made", [tar, zipped])
def test_a_bomb_is_not_unpacked_to_its_end(
    made: Callable[[dict[str, bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 10_000)
    with pytest.raises(UnreadableArchive, match="more than 10000 bytes"):
        archives.summary(made({"bomb": bytes(3_000_000)}))


def test_there_are_not_too_many_files_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = tar(FILES, tarfile.TarInfo("./run.sh"))
    with pytest.raises(UnreadableArchive, match="twice"):
        archives.summary(twice)
    monkeypatch.setattr(archives, "MOST_FILES", 1)
    with pytest.raises(UnreadableArchive, match="more than 1 files"):
        archives.summary(tar())


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK", gzip.compress(b"hello"), tar()[:-20], zipped()[:-10], tar({}), zipped({})],
    ids=["empty", "text", "pk", "gzip", "cut tar", "cut zip", "no file in tar", "no file in zip"],
)
def test_what_is_no_archive_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(UnreadableArchive):
        archives.summary(content)
