"""CI nodes of the tests: `pytest --tms` in processes of their own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sdk.conftest import Server

PLUGIN = ("-p", "tms_sdk.pytest_loader", "-p", "no:cacheprovider", "--tms")


@contextmanager
def node(server: Server, folder: Path, *arguments: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """A node at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *PLUGIN, *arguments],
        cwd=folder,
        env=server.environ | {"TMS_PATIENCE": "0.5"} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def run(server: Server, folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """Let one node work to its end; its exit code and output."""
    with node(server, folder, *arguments, **environ) as process:
        return ended(process)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output
