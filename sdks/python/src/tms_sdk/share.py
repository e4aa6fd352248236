"""Which tests a node runs while the server is away: a share that it can tell by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from tms_sdk.errors import UsageError

# Index and total, and the number that the first index has. The first pair that is set wins.
_CI = (
    ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1),  # GitLab
    ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
)
_OWN = ("TMS_NODE_INDEX", "TMS_NODE_TOTAL")


@dataclass(frozen=True, slots=True)
class Node:
    """One of the CI system's nodes that run a suite together; `index` counts from 0."""

    index: int = 0
    total: int = 1

    def runs(self, file: str) -> bool:
        """Tell whether a file is in this node's share.

        Each file's share depends on its name alone. So nodes that collected different files, or of which one knows
        less than another, still run every file between them.
        """
        return int.from_bytes(sha256(file.encode("utf-8", "surrogatepass")).digest()[:8]) % self.total == self.index


def node_of(environ: Mapping[str, str]) -> Node:
    """Find out which node this is; the only one where nothing tells.

    Raises:
        UsageError: TMS_NODE_INDEX and TMS_NODE_TOTAL make no sense.
    """
    if any(environ.get(name) for name in _OWN):
        node = _read(*(environ.get(name, "") for name in _OWN), first=0)
        if node is None:
            raise UsageError("TMS_NODE_INDEX counts from 0 up to one below TMS_NODE_TOTAL; set both, to whole numbers.")
        return node
    for index, total, first in _CI:
        node = _read(environ.get(index, ""), environ.get(total, ""), first=first)
        if node is not None:
            return node
    return Node()


def _read(index: str, total: str, *, first: int) -> Node | None:
    if not (_is_number(index) and _is_number(total) and first <= int(index) < int(total) + first):
        return None
    return Node(int(index) - first, int(total))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
