"""Where a shard's command is run: a folder of its own, filled from an archive, or one that all nodes have."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import TMSError
from orchestrator.jobs import archives

_OWNER_ONLY = 0o600
_EXECUTABLE = 0o700


class SourceFault(TMSError):
    """The source of a job cannot be had on this node; the message says why."""


def scratch() -> Path:
    """A new folder of this attempt's own."""
    return Path(tempfile.mkdtemp(prefix="tms-shard-"))


def remove(folder: Path) -> None:
    """Remove a scratch folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def unpack(content: bytes, folder: Path) -> None:
    """Write the files of an archive into an empty folder.

    Raises:
        SourceFault: it cannot be written.
        UnreadableArchive: it is damaged.
    """
    try:
        for member in archives.members(content):
            path = folder / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                path.chmod(_EXECUTABLE if member.is_executable else _OWNER_ONLY)
                file.writelines(member.chunks)
    except OSError as error:
        raise SourceFault(f"The archive cannot be unpacked: {error.strerror}") from error


def shared(folder: str, allowed: Iterable[str]) -> Path:
    """A folder that all nodes have, with links resolved.

    Raises:
        SourceFault: it is not there, or leads out of the folders that the operator allowed.
    """
    path = Path(folder).resolve()
    if not path.is_dir():
        raise SourceFault(f"There is no folder {folder} on this node")
    if not any(path.is_relative_to(Path(one).resolve()) for one in allowed):
        raise SourceFault(f"{folder} leads out of the folders that jobs may run in (TMS_JOB_FOLDERS)")
    return path


Marks = dict[Path, tuple[int, int, int]]
"""Files, and by what it shows that one was written since."""


def marks(folder: Path, pattern: str) -> Marks:
    """The files that a glob finds in a folder; those that links lead to outside are left out."""
    found: Marks = {}
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            about = path.stat()
            found[path] = (about.st_ino, about.st_mtime_ns, about.st_size)
    return found


def written(before: Marks, after: Marks) -> list[Path]:
    """The files that are new or were written anew: a report of an earlier run tells nothing of this one."""
    return [path for path, mark in after.items() if before.get(path) != mark]
