"""How a large file comes in parts."""

from datetime import UTC, datetime

import msgspec
import pytest

from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import PART_BYTES, Artifact

FILE = Artifact(
    artifact_id="art_1",
    tenant_id=1,
    execution_id="exec_1",
    shard_id="1",
    kind=Kind.VIDEOS,
    name="a.mp4",
    size=2 * PART_BYTES + 1,
    sha256=bytes(32),
    created_at=datetime(2026, 11, 25, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (1, [1]),
        (PART_BYTES, [PART_BYTES]),
        (PART_BYTES + 1, [PART_BYTES, 1]),
        (2 * PART_BYTES, [PART_BYTES, PART_BYTES]),
    ],
)
def test_all_parts_but_the_last_are_full(size: int, lengths: list[int]) -> None:
    file = msgspec.structs.replace(FILE, size=size)
    assert [file.part_bytes(number) for number in range(1, file.parts + 1)] == lengths
    assert (file.part_bytes(0), file.part_bytes(file.parts + 1)) == (None, None)


def test_what_is_missing_is_told_whatever_came_and_in_which_order() -> None:
    assert FILE.missing([]) == [1, 2, 3]
    assert FILE.missing([3, 1, 99]) == [2]
    assert FILE.missing([1, 2, 3]) == []


def test_the_same_file_of_the_same_thing_is_the_same_whenever_it_comes() -> None:
    later = msgspec.structs.replace(FILE, artifact_id="art_2", created_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert later.identity == FILE.identity
    for change in ({"test": "a"}, {"file": "a"}, {"name": "b.mp4"}, {"sha256": b"\1" * 32}, {"attempt": 1}):
        assert msgspec.structs.replace(FILE, **change).identity != FILE.identity
