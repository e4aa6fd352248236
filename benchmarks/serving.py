"""The server that is measured: in a process of its own, on a temporary data folder, with nothing switched off."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from benchmarks.client import Address
from storage.embedded import running_database_url

ROOT = Path(__file__).parent.parent
TOKEN = "tms_benchmark_admin_token_0123456789"  # noqa: S105 - of a server that lives for minutes, on loopback
STOP_SECONDS = 60.0

_SIGNS = (
    ("owners", "ExecutionOwner"),
    ("couriers", "WebhookCourier"),
    ("valkey", "valkey-server"),
    ("postgres", "postgres"),
)
"""What the command line of a part's processes has in it."""


class ServerFailed(Exception):
    """The server did not start, or left something running; says what it logged last."""


class Server:
    """`orchestrator serve` on a data folder of its own, until the `with` block ends.

    Args:
        **settings: variables of its environment, where the default is not what is to be measured.

    Attributes:
        address: where it answers.

    Raises:
        ServerFailed: it did not start.
    """

    def __init__(self, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tms-bench-"))
        self._data = self._folder / "data"
        own = {"TMS_DATA_DIR": str(self._data), "TMS_PORT": "0", "TMS_BOOTSTRAP_TOKEN": TOKEN}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TMS_")}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "serve"],
                cwd=ROOT,
                env=clean | own | settings,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            url = urlsplit(self._announced())
        except BaseException:
            self._end()
            raise
        self.address = Address(url.hostname or "", url.port or 0, TOKEN)

    @property
    def database_url(self) -> str:
        """Of its Postgres, as the owning role."""
        return running_database_url(self._data)

    @property
    def redis_url(self) -> str:
        """Of its Valkey."""
        return f"unix://{(self._data / 'run').resolve() / 'valkey.sock'}?db=0"

    def numbers(self) -> dict[str, float]:
        """What its owners have counted since their start: commands and commits."""
        return {
            "commands": self.metric("tms_owner_commands_total"),
            "commits": self.metric("tms_owner_commit_seconds_count"),
        }

    def metric(self, name: str) -> float:
        """One of its metrics now, that of all its parts together."""
        with urlopen(f"http://{self.address.host}:{self.address.port}/metrics") as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))

    def owners(self) -> list[psutil.Process]:
        """The processes of its owners."""
        return [process for process in self._family() if _part(process) == "owners"]

    def gateway_bytes(self) -> int:
        """Memory of the gateway (resident)."""
        return psutil.Process(self._process.pid).memory_info().rss

    def owner_bytes(self) -> int:
        """Memory of all owners (resident)."""
        return sum(process.memory_info().rss for process in self.owners())

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds, user and system, that each part has used so far."""
        used = dict.fromkeys(("gateway", "owners", "couriers", "postgres", "valkey", "ray"), 0.0)
        for process in (psutil.Process(self._process.pid), *self._family()):
            try:
                times = process.cpu_times()
                part = "gateway" if process.pid == self._process.pid else _part(process)
            except psutil.NoSuchProcess:
                continue  # what it used is in its parent's times now
            used[part] += times.user + times.system
            # Those of its children that have ended; what the gateway starts are helpers of Ray, while it serves.
            used["ray" if part == "gateway" else part] += times.children_user + times.children_system
        return used

    def _family(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    @property
    def _log(self) -> Path:
        return self._folder / "serve.log"

    def _announced(self) -> str:
        """The URL, as soon as it serves."""
        for line in self._process.stdout or ():
            if line.startswith("Serving at "):
                return line.split()[2]
        raise ServerFailed(f"the server did not start:\n{self._log.read_text()[-2000:]}")

    def _end(self) -> None:
        """Stop it and all that it started, by force what does not leave by itself; remove its folder."""
        family = self._family() if self._process.poll() is None else []
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def _part(process: psutil.Process) -> str:
    """Which part of the server a process belongs to.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    line = " ".join(process.cmdline())
    for part, sign in _SIGNS:
        if sign in line:
            return part
    return "ray"
