"""One server for a data folder at a time."""

import asyncio
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import Misconfigured

LOCK_FILE = "lock"

# A process that was just killed holds its locks until the kernel has taken it apart.
PATIENCE_SECONDS = 1.0
POLL_SECONDS = 0.02


class DataFolderInUse(Misconfigured):
    """Another process holds the data folder.

    Attributes:
        folder: the data folder.
        holder: pid of the process that holds it; None if it has not said yet.
    """

    code = "DATA_FOLDER_IN_USE"

    def __init__(self, folder: Path, holder: int | None) -> None:
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            f"The data folder {folder} is in use by {who}; end that one, or set TMS_DATA_DIR to another folder"
        )
        self.folder = folder
        self.holder = holder


class DataFolderLock:
    """Holds a data folder for this process; the kernel lets go of it when the process dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    async def acquire(self) -> None:
        """Take the folder, making it if there is none.

        Raises:
            DataFolderInUse: another lock holds the folder, in this process or in another one.
            OSError: the folder cannot be made or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the folder; without effect if it is not held."""
        if self._descriptor is not None:
            # The file stays: were it removed, two processes could each lock a file of that name.
            os.close(self._descriptor)
            self._descriptor = None

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    async def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.pread(descriptor, 32, 0).strip()
                    raise DataFolderInUse(self._folder, int(holder) if holder.isdigit() else None) from None
            await asyncio.sleep(POLL_SECONDS)
