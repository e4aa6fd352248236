"""The account that embedded servers run as, and what that account needs to be let in.

Postgres refuses to run as root. Where we are root, the servers run as the owner of the Postgres data, at first a system
user made for it; everywhere else they run as we do.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple, Self

import structlog

from orchestrator.errors import Misconfigured

SYSTEM_USER = "tms-servers"
ROOT = 0

log = structlog.get_logger(__name__)


class Account(NamedTuple):
    """A user and group of the operating system."""

    uid: int
    gid: int

    @classmethod
    def owning(cls, folder: Path) -> Self:
        """The account to run as for the servers of `folder`, which need not exist.

        Raises:
            Misconfigured: we are root, and a system user can be neither found nor made.
        """
        if os.geteuid() != ROOT:
            return cls(os.geteuid(), os.getegid())
        if folder.exists() and (owner := folder.stat()).st_uid != ROOT:
            return cls(owner.st_uid, owner.st_gid)
        user = _system_user()
        return cls(user.pw_uid, user.pw_gid)

    def own(self, path: Path) -> None:
        """Make `path` this account's."""
        if os.geteuid() == ROOT:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_folder(self, path: Path) -> None:
        """Make `path` a folder that only this account (and root) may enter; one that exists is taken over."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.own(path)

    def may_reach(self, path: Path) -> None:
        """Let this account pass through the folders above `path`: pass through, not list."""
        if os.geteuid() != ROOT:
            return
        for folder in path.parents:
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
                log.info("folder_opened", folder=str(folder), reason="the embedded servers do not run as root")

    def may_run(self, installation: Path, program: Path) -> None:
        """Let this account run `program` and read what is installed with it."""
        if os.geteuid() != ROOT:
            return
        self.may_reach(installation)
        if program.stat().st_mode & stat.S_IXOTH:
            return
        for path in (installation, *installation.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | (stat.S_IROTH | stat.S_IXOTH if mode & stat.S_IXUSR else stat.S_IROTH))


def _system_user() -> pwd.struct_passwd:
    """The system user, made if there is none."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        problem = _add_system_user()
    try:
        # Found even so if another server on this machine has made it meanwhile.
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Misconfigured(
            f"Postgres does not run as root, and a system user {SYSTEM_USER} for it could not be made: {problem};"
            " run the server as another user"
        ) from None


def _add_system_user() -> str:
    """Try to make the system user, without a home or a shell; gives what useradd had to say."""
    useradd = shutil.which("useradd")
    if useradd is None:
        return "there is no useradd"
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/bin/false"]
    done = subprocess.run([useradd, *options, SYSTEM_USER], check=False, capture_output=True, text=True)  # noqa: S603 - all arguments are constants
    return done.stderr.strip()
