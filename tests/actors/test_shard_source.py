"""Where a shard's command is run, and which reports are its own."""

import os
from pathlib import Path

import pytest

from actors import shard_source
from actors.shard_source import SourceFault


def test_a_shared_folder_is_taken_where_the_operator_allowed_it(tmp_path: Path) -> None:
    (tmp_path / "suites" / "shop").mkdir(parents=True)
    allowed = [str(tmp_path / "suites")]
    assert shard_source.shared(str(tmp_path / "suites" / "shop"), allowed) == (tmp_path / "suites" / "shop").resolve()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "suites" / "link").symlink_to(tmp_path / "secrets")
    for path in ("suites/link", "secrets", "suites/nothing"):
        with pytest.raises(SourceFault):
            shard_source.shared(str(tmp_path / path), allowed)


def test_only_reports_that_were_written_since_are_this_runs(tmp_path: Path) -> None:
    old, again = tmp_path / "old.xml", tmp_path / "again.xml"
    old.write_text("<a/>")
    again.write_text("<a/>")
    before = shard_source.marks(tmp_path, "*.xml")
    os.utime(again, ns=(1, 1))
    (tmp_path / "new.xml").write_text("<a/>")
    written = shard_source.written(before, shard_source.marks(tmp_path, "*.xml"))
    assert [path.name for path in written] == ["again.xml", "new.xml"]


def test_a_link_to_a_file_elsewhere_is_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.xml").write_text("<a/>")
    (folder / "report.xml").symlink_to(tmp_path / "secret.xml")
    assert shard_source.marks(folder, "*.xml") == {}
