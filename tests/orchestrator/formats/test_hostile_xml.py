"""XML that is broken, or made to break its reader. Limits that hold are limits of time and memory, too."""

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UnreadableReport
from orchestrator.executions.formats import junit
from orchestrator.executions.formats.junit import MAX_DEPTH, JUnitReader
from orchestrator.executions.formats.reading import read

MIB = 1024 * 1024


def entities(levels: int) -> str:
    each = (f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels))
    return f'<!DOCTYPE x [<!ENTITY e0 "ha">{"".join(each)}]><testsuite><testcase name="&e{levels - 1};"/></testsuite>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (entities(20), "Line 1, column 13: it has a document type"),
        (f'<!DOCTYPE x [<!ENTITY e "{"x" * 100_000}">]><testsuite>{"&e;" * 10_000}</testsuite>', "document type"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite>&e;</testsuite>', "document type"),
        ('<!DOCTYPE x [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]><testsuite/>', "document type"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><testsuite/>', "document type"),
        ("<testsuite>\n<testcase name='&e;'/></testsuite>", "Line 2, column 1: undefined entity"),
        ("<testsuite>\n<testcase>\n</testsuite>", "Line 3, column 3: mismatched tag"),
        ("<testsuite>\n\n<testcase name='a'/>", "Line 3, column 21: it is cut off"),
        ("<testsuite><testcase name='a", "it is cut off"),
        ("<testsuite><system-out><![CDATA[a", "it is cut off"),
        ("<testsuite/><testsuite/>", "junk after document element"),
        ("<html><testcase name='a'/></html>", "Line 1, column 1: no JUnit report: its root is <html>"),
        ("<testsuite><testcase><testcase/></testcase></testsuite>", "a <testcase> within a <testcase>"),
        ('<?xml version="1.0" encoding="no-such"?><testsuite/>', "cannot be decoded: unknown encoding"),
        ('<?xml version="1.0" encoding="utf-16"?><testsuite/>', "encoding specified in XML declaration is incorrect"),
        ("", "It is empty"),
        ("not a report", "It is neither JUnit XML nor CTRF JSON"),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(UnreadableReport) as error:
        read(text.encode())

    assert reason in error.value.message


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="utf-8"?><testsuite><testcase name="\xff"/></testsuite>',
        '<?xml version="1.0" encoding="shift_jis"?><testsuite><testcase name="あ"/></testsuite>'.encode("shift_jis"),
        '<testsuite><testcase name="größe"/></testsuite>'.encode("latin-1"),
    ],
)
def test_what_cannot_be_decoded_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableReport):
        read(content)


def declared(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?><testsuite><testcase name="größe"/></testsuite>'


@pytest.mark.parametrize(
    "content",
    [
        declared("utf-8").encode("utf-8-sig"),
        declared("utf-16").encode("utf-16"),
        ("\ufeff" + declared("utf-16")).encode("utf-16-be"),
        declared("utf-16").encode("utf-16-le"),
        declared("iso-8859-1").encode("latin-1"),
        declared("windows-1252").encode("cp1252"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_declared_encodings_and_byte_order_marks_are_read_in_pieces_of_any_size(content: bytes, size: int) -> None:
    reader = JUnitReader()
    for start in range(0, len(content), size):
        reader.feed(content[start : start + size])

    assert [test.title for test in reader.close().tests] == ["größe"]
    assert [test.title for test in read(content).tests] == ["größe"]


def test_letters_whose_utf_16_has_bytes_of_control_characters_stay() -> None:
    (test,) = read('<testsuite><testcase name="ćĉ"/></testsuite>'.encode("utf-16")).tests

    assert test.title == "ćĉ"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"<testsuite>" * (MAX_DEPTH + 1), "nested more than 100 deep"),
        (lambda: b'<testsuite><testcase name="' + b"x" * 100 * MIB + b'"/></testsuite>', "a tag is longer than 4 MiB"),
        (lambda: b"<testsuite><!--" + b"x" * 100 * MIB + b"--></testsuite>", "a tag is longer than 4 MiB"),
    ],
)
def test_depth_and_length_are_limited(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(UnreadableReport, match=reason):
        read(make())


def test_numbers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "MAX_TESTS", 10)
    monkeypatch.setattr(junit, "MAX_ELEMENTS", 100)
    monkeypatch.setattr(junit, "MAX_BYTES", 5_000)

    assert len(read(b"<testsuite>" + b"<testcase/>" * 10 + b"</testsuite>").tests) == 10
    for content, reason in (
        (b"<testsuite>" + b"<testcase/>" * 11 + b"</testsuite>", "more than 10 tests"),
        (b"<testsuite>" + b"<b/>" * 101 + b"</testsuite>", "more than 100 elements"),
        (b"<testsuite>" + b" " * 5_000 + b"</testsuite>", "larger than"),
    ):
        with pytest.raises(UnreadableReport, match=reason):
            read(content)


def test_output_of_many_megabytes_is_not_kept() -> None:
    marks = b"[[ATTACHMENT|" * 100_000
    output = b"line of output\n" * (2 * MIB) + marks + b"[[ATTACHMENT|kept.png]]"
    content = b"<testsuite><testcase name='a'><system-out>" + output + b"</system-out></testcase></testsuite>"
    tracemalloc.start()
    try:
        (test,) = read(content).tests
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert test.details is not None
    assert test.details.attachments == ("kept.png",)
    assert len(content) > 30 * MIB
    assert peak < 10 * MIB


@given(st.binary())
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for content in (junk, b"<testsuite>" + junk, b"<testsuite><testcase name='a'>" + junk):
        try:
            read(content)
        except UnreadableReport as error:
            assert error.message  # noqa: PT017 - whether it is refused is not known beforehand
