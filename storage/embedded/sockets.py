"""A folder for unix sockets, whose paths have to be short and plain."""

import shutil
import stat
import tempfile
from pathlib import Path

from storage.embedded.account import Account

SOCKET_PATH_BYTES = 103
"""The longest path of a unix socket on macOS; Linux allows 107."""

SOCKET_NAME_BYTES = 20
"""Room for the longest name of a socket in the folder."""

PRIVATE = 0o700


class SocketFolder:
    """The folder `wished`; where its path does not do for a socket, a private folder in /tmp that `wished` links to.

    The link lets the next start find, and use again or remove, what a killed server left in /tmp.
    """

    def __init__(self, wished: Path) -> None:
        self._wished = wished

    def open(self, account: Account) -> Path:
        """Make the folder, for `account` alone, and give a path that does for a socket."""
        if _does_for_a_socket(self._wished):
            account.make_folder(self._wished)
            account.may_reach(self._wished)
            return self._wished
        if self._wished.is_symlink():
            linked = self._wished.readlink()
            if _is_private(linked, account):
                return linked
            self._wished.unlink()
        # Only /tmp is short for certain: TMPDIR may be as long as the path of the data folder.
        made = Path(tempfile.mkdtemp(prefix="tms-", dir="/tmp"))
        account.own(made)
        self._wished.symlink_to(made)
        return made

    def close(self) -> None:
        """Leave nothing in /tmp."""
        if self._wished.is_symlink():
            shutil.rmtree(self._wished.readlink(), ignore_errors=True)
            self._wished.unlink()


def _does_for_a_socket(folder: Path) -> bool:
    path = str(folder)
    # A comma in a DSN separates hosts, and an odd character is odd in another way to every driver.
    return path.isascii() and "," not in path and len(path) + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES


def _is_private(folder: Path, account: Account) -> bool:
    """Whether it is (still) a folder that nobody else may enter, not something put in its place."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and stat.S_IMODE(found.st_mode) == PRIVATE
