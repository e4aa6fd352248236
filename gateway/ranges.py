"""Which part of a file is asked for (RFC 9110, section 14): one range of bytes, or all of it."""

import re

from orchestrator.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def wanted(header: str | None, size: int) -> range | None:
    """The positions that a `Range` asks for; None for the whole file.

    Several ranges, other units and what cannot be read are answered with the whole file, as the RFC allows.

    Raises:
        RangeNotSatisfiable: the file has none of these bytes.
    """
    found = None if header is None else _ONE_RANGE.fullmatch(header.strip())
    if found is None:
        return None
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return range(start, end)
