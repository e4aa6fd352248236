"""Which bytes a `Range` asks for."""

import pytest

from gateway.ranges import wanted
from orchestrator.errors import RangeNotSatisfiable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-", range(10)),
        ("bytes=3-5", range(3, 6)),
        ("bytes=9-", range(9, 10)),
        ("bytes=5-99", range(5, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        (" bytes=1-2 ", range(1, 3)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-\u0662", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_one_range_is_read_and_all_else_means_the_whole(header: str | None, expected: range | None) -> None:
    assert wanted(header, 10) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_bytes_that_are_not_there_cannot_be_had(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        wanted(header, size)
    assert refused.value.size == size
