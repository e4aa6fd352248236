"""What the tested code is: branch and commit, out of the free metadata that a client sent."""

import msgspec

_LONGEST = 255


class Source(msgspec.Struct, frozen=True):
    """Branch and commit, each only where it is text short enough for an index."""

    branch: str | None = None
    commit: str | None = None


class _Sent(msgspec.Struct):
    """The part of the metadata that names them; kept as sent whatever it is."""

    branch: object = None
    commit: object = None


def of(metadata: str | None) -> Source:
    """Read it out of the metadata's JSON text."""
    if metadata is None or not metadata.startswith("{"):
        return Source()
    sent = msgspec.json.decode(metadata, type=_Sent)
    return Source(_searched(sent.branch), _searched(sent.commit))


def _searched(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST else None
