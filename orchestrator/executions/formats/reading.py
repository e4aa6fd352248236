"""Reads a report of either format, told by its content: names of files say nothing."""

from orchestrator.errors import UnreadableReport
from orchestrator.executions.formats.ctrf import CtrfReader
from orchestrator.executions.formats.junit import JUnitReader
from orchestrator.executions.formats.report import Format, Reader, Report

_PIECE_BYTES = 1024 * 1024
_HEAD_BYTES = 1024
_READERS: dict[Format, type[Reader]] = {Format.JUNIT: JUnitReader, Format.CTRF: CtrfReader}
# Byte order marks of UTF-8 and UTF-16, the spaces of XML and JSON, and what pads a character in UTF-16.
_BEFORE = b"\xef\xbb\xbf\xff\xfe \t\r\n\0"


def format_of(content: bytes) -> Format | None:
    """The format of a report, None where it is neither."""
    match content[:_HEAD_BYTES].lstrip(_BEFORE)[:1]:
        case b"<":
            return Format.JUNIT
        case b"{":
            return Format.CTRF
        case _:
            return None


def read(content: bytes) -> Report:
    """Read a report.

    Raises:
        UnreadableReport: it is of neither format, or cannot be read; says where.
    """
    kind = format_of(content)
    if kind is None:
        raise UnreadableReport("It is empty" if not content else "It is neither JUnit XML nor CTRF JSON")
    reader = _READERS[kind]()
    for start in range(0, len(content), _PIECE_BYTES):
        reader.feed(content[start : start + _PIECE_BYTES])
    return reader.close()
