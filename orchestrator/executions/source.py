"""What the tested code is: its branch and commit, and what they are compared with, out of a client's free metadata."""

import msgspec

MAIN_BRANCHES = ("main", "master", "trunk", "develop")
_LONGEST = 255


class Source(msgspec.Struct, frozen=True):
    """Branch, commit and default branch, each only where it is text short enough for an index."""

    branch: str | None = None
    commit: str | None = None
    default_branch: str | None = None

    @property
    def main_branches(self) -> tuple[str, ...]:
        """Other branches are compared with the first of these that has former executions of the suite."""
        return MAIN_BRANCHES if self.default_branch is None else (self.default_branch,)


class _Sent(msgspec.Struct, rename="camel"):
    """The part of the metadata that names them; kept as sent whatever it is."""

    branch: object = None
    commit: object = None
    default_branch: object = None


def of(metadata: str | None) -> Source:
    """Read it out of the metadata's JSON text."""
    if metadata is None or not metadata.startswith("{"):
        return Source()
    sent = msgspec.json.decode(metadata, type=_Sent)
    return Source(_searched(sent.branch), _searched(sent.commit), _searched(sent.default_branch))


def _searched(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST else None
