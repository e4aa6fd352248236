"""The SDK's tests meet a server only through `server`: an address and a token.

Here it is the fake of `fake_tms.py`. A test that uses `server` and nothing else of the fake holds for every TMS server,
so a run against the true one only has to give `server` another value, as `test_upload.py` does.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake_tms import FakeTMS
from tms_sdk import Retry, TMSClient

QUICK = Retry(attempts=4, first_delay=0.001, longest_delay=0.01, total=30.0)


@dataclass(frozen=True)
class Server:
    """A TMS server to talk to."""

    url: str
    token: str

    @property
    def environ(self) -> dict[str, str]:
        """The environment for the command `tms`: nothing of the pytest or the CI job that runs us."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TMS_"))}
        own = {"TMS_URL": self.url, "TMS_TOKEN": self.token, "COLUMNS": "200"}
        # The projects under test use no plugin that they do not name.
        return kept | own | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def client(self) -> TMSClient:
        return TMSClient(self.token, self.url, retry=QUICK)

    def tests(self, execution_id: str) -> list[dict[str, Any]]:
        """All tests the server has of an execution."""
        with self.client() as client:
            tests: list[dict[str, Any]] = client.tests(execution_id)["tests"]
            return tests


@pytest.fixture
def fake() -> Iterator[FakeTMS]:
    with FakeTMS() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def server(fake: FakeTMS) -> Server:
    return Server(fake.url, fake.token)


@pytest.fixture
def client(server: Server) -> Iterator[TMSClient]:
    with server.client() as made:
        yield made


Tms = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tms(server: Server, tmp_path: Path) -> Tms:
    """Run the command `tms` in `tmp_path` until it ends."""

    def run(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tms_sdk", *arguments],
            cwd=tmp_path,
            env=server.environ | (environ or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write a pytest project into `tmp_path`."""

    def write(files: dict[str, str]) -> Path:
        for name, text in {"pytest.ini": "[pytest]\n", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write
