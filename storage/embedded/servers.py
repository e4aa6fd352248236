"""Postgres and Valkey side by side, under the lock of their data folder."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from storage.embedded.account import Account
from storage.embedded.lock import DataFolderLock
from storage.embedded.postgres import Postgres, url_on
from storage.embedded.process import EmbeddedServerFailed, Keeper
from storage.embedded.sockets import SocketFolder
from storage.embedded.valkey import Valkey

SOCKETS = "run"


class EmbeddedServers:
    """Postgres and Valkey of one machine, and the lock on their data folder.

    Both are started again at the same address whenever they die, until `stop`. `start` belongs on a thread that
    lasts as long as the servers shall: see `Keeper`.

    Attributes:
        database_url: `postgresql://…` for any process of this machine; known after `start`.
        redis_url: `unix://…`, likewise.
    """

    database_url: str
    redis_url: str

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.resolve()
        self._lock = DataFolderLock(self._data_dir)
        self._sockets = SocketFolder(self._data_dir / SOCKETS)
        self._postgres: Keeper | None = None
        self._valkey: Keeper | None = None

    @property
    def postgres_pid(self) -> int | None:
        """Pid of the postmaster; None while it is away."""
        return None if self._postgres is None else self._postgres.pid

    @property
    def valkey_pid(self) -> int | None:
        """Pid of Valkey; None while it is away."""
        return None if self._valkey is None else self._valkey.pid

    async def start(self) -> None:
        """Lock the data folder, start both servers side by side, and return when both serve.

        Raises:
            DataFolderInUse: another server uses the folder.
            EmbeddedServerFailed: a server did not start, or the folder cannot be used; says why.
            Misconfigured: the folder is of another major version of Postgres, or we are root without a system user.
        """
        with _usable(self._data_dir):
            await self._lock.acquire()
            try:
                await self._start()
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Stop both servers and let go of the folder; without effect where they do not run."""
        keepers = [keeper for keeper in (self._postgres, self._valkey) if keeper is not None]
        self._postgres = self._valkey = None
        try:
            for outcome in await asyncio.gather(*(keeper.stop() for keeper in keepers), return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            self._sockets.close()
        finally:
            self._lock.release()

    async def restart_postgres(self) -> None:
        """Stop Postgres in order and start it at the same address."""
        await _running(self._postgres).restart()

    async def restart_valkey(self) -> None:
        """Stop Valkey and start it, empty, at the same address."""
        await _running(self._valkey).restart()

    def collect(self) -> Iterator[Metric]:
        """Whether they run, for Prometheus."""
        up = GaugeMetricFamily("tms_embedded_up", "Whether an embedded server runs", labels=("server",))
        starts = CounterMetricFamily("tms_embedded_starts", "Starts of an embedded server", labels=("server",))
        for keeper in (self._postgres, self._valkey):
            if keeper is not None:
                up.add_metric((keeper.name,), keeper.pid is not None)
                starts.add_metric((keeper.name,), keeper.starts)
        yield up
        yield starts

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        account = Account.owning(self._data_dir / "postgres")
        sockets = self._sockets.open(account)
        database = Postgres(self._data_dir, sockets, account)
        bus = Valkey(self._data_dir, sockets, account)
        self._postgres, self._valkey = Keeper(database), Keeper(bus)
        starts = [asyncio.create_task(keeper.start()) for keeper in (self._postgres, self._valkey)]
        try:
            await asyncio.gather(*starts)
        finally:
            # Where one failed, the other must not go on starting while it is being stopped. One that is cancelled
            # already is ending its server, and a second time would leave that alone with it.
            for start in starts:
                if not start.cancelling():
                    start.cancel()
            await asyncio.wait(starts)
        self.database_url, self.redis_url = database.url, bus.url


def running_database_url(data_dir: Path) -> str:
    """DSN of the database that another process of this machine has started on a data folder.

    Raises:
        EmbeddedServerFailed: there is no database in the folder.
    """
    folder = data_dir.resolve()
    return url_on(folder, (folder / SOCKETS).resolve())


def _running(keeper: Keeper | None) -> Keeper:
    if keeper is None:
        raise EmbeddedServerFailed("The embedded servers are not running")
    return keeper


@contextmanager
def _usable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerFailed(f"The data folder {data_dir} cannot be used: {error}") from error
