"""The `orchestrator` command as a shell runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import ROOT

Orchestrator = Callable[..., subprocess.CompletedProcess[str]]


def environment(**settings: object) -> dict[str, str]:
    """The environment of a command: these settings and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TMS_")}
    return clean | {f"TMS_{name.upper()}": str(value) for name, value in settings.items()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "server", *arguments]


@pytest.fixture
def orchestrator() -> Orchestrator:
    """Run a command to its end."""

    def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env=environment(**settings) | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"
