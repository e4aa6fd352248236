"""Become another program, as another user, that is sent a signal when its parent dies.

Run as a script: `python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT ...]`. It is a program of its own
because the kernel forgets the wish for a signal at a change of user, so it has to be told after that, and because
running Python between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do what the arguments say; does not return."""
    parent, signal, uid, gid = map(int, sys.argv[1:5])
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the kernel was told, so no signal will come.
            sys.exit("The server that started this has gone")
    os.umask(0o077)
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606 - a program of ours with arguments of ours, no shell


if __name__ == "__main__":
    main()
