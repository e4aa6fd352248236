"""A real server in a process of its own, for tests that speak to it from outside."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

import psutil

from storage.embedded import running_database_url
from tests.patience import eventually

ROOT = Path(__file__).parent.parent
TOKEN = "tms_test_admin_token_0123456789abcdef"


class RunningServer:
    """`orchestrator serve` on a data folder.

    Attributes:
        url: where it answers, such as http://127.0.0.1:43211.
        token: an admin API token of the tenant `default`.
        data_dir: its folder; what it logged is in `data_dir / "serve.log"`.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.token = TOKEN
        self.url = ""
        self._settings = {f"TMS_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[str] | None = None
        self._left: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        """Of the gateway process, which started all others."""
        assert self._process is not None
        return self._process.pid

    @property
    def database_url(self) -> str:
        """Of its embedded Postgres, as the owning role."""
        return running_database_url(self.data_dir)

    @property
    def redis_url(self) -> str:
        """Of its embedded Valkey."""
        return f"unix://{(self.data_dir / 'run').resolve() / 'valkey.sock'}?db=0"

    @property
    def log(self) -> str:
        """What it logged so far."""
        return (self.data_dir / "serve.log").read_text()

    def start(self) -> Self:
        """Start and wait until it serves; the port stays the same over restarts."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        port = self.url.rpartition(":")[2] or "0"
        defaults = {
            "TMS_DATA_DIR": str(self.data_dir),
            "TMS_PORT": port,
            "TMS_BOOTSTRAP_TOKEN": self.token,
            "TMS_LIMIT_WEBHOOKS": "0",
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TMS_")}
        with (self.data_dir / "serve.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "serve"],
                cwd=ROOT,
                env=clean | defaults | self._settings,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Serving at "):
                self.url = line.split()[2]
                return self
        raise AssertionError(f"the server ended with {self._process.wait()}:\n{self.log}")

    def family(self) -> list[psutil.Process]:
        """The processes that it started, and theirs."""
        return psutil.Process(self.pid).children(recursive=True)

    def owners(self) -> list[psutil.Process]:
        """The processes of its owners, by partition; those that answer."""
        return self._actors("owner")

    def couriers(self) -> list[psutil.Process]:
        """The processes of its couriers, in order; those that answer."""
        return self._actors("courier")

    def _actors(self, kind: str) -> list[psutil.Process]:
        with urlopen(f"{self.url}/metrics") as answer:  # noqa: S310 - our own server
            text = answer.read().decode()
        pids = re.findall(rf"^tms_{kind}_pid{{.*}} (\S+)$", text, re.MULTILINE)
        return [psutil.Process(int(float(pid))) for pid in pids]

    def postmaster(self) -> psutil.Process:
        """The first process of its embedded Postgres."""
        return psutil.Process(int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))

    async def valkey(self) -> psutil.Process:
        """Its embedded Valkey, once it is there again."""
        found: list[psutil.Process] = []

        async def is_there() -> bool:
            found[:] = [process for process in self.family() if process.name() == "valkey-server"]
            return bool(found)

        await eventually(is_there)
        return found[0]

    def stop(self) -> int:
        """Ask it to stop, and wait; returns its exit code."""
        assert self._process is not None
        self._left = self.family()
        self._process.terminate()
        return self._reap(60)

    def is_gone(self) -> bool:
        """Whether all that it had started has ended with it."""
        _, alive = psutil.wait_procs(self._left, timeout=10)
        return not alive

    def kill(self) -> None:
        """Kill -9 the gateway process alone."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap(10)

    def kill_all(self) -> None:
        """Kill -9 everything at once: gateway, owners, Ray, Postgres, Valkey."""
        family = self.family()
        for process in [psutil.Process(self.pid), *family]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue  # it followed another one
        self._reap(10)
        psutil.wait_procs(family, timeout=10)

    def _reap(self, seconds: float) -> int:
        """Wait for the end of the gateway process; returns its exit code."""
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(seconds)
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
