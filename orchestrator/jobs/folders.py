"""Which folders of the nodes jobs may run in: those under the ones that the operator allowed."""

import posixpath
from collections.abc import Iterable


def is_under(folder: str, allowed: Iterable[str]) -> bool:
    """Whether an absolute path without detours lies in one of the folders; links are for the node to resolve."""
    if not folder.startswith("/") or posixpath.normpath(folder) != folder or folder.startswith("//"):
        return False
    return any(posixpath.commonpath((folder, one)) == posixpath.normpath(one) for one in allowed)
