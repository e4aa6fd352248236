"""The process beside pytest that speaks to the server, as the pytest process sees it. It imports next to nothing."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import pytest

from tms_sdk.errors import UsageError
from tms_sdk.share import node_of

# Longer paths are refused as names of Unix sockets.
_LONGEST_PATH = 100
# A node that runs as many workers as it can find does not need more.
_BACKLOG = 512


@dataclass
class Companion:
    """A companion that was started.

    It has a session of its own, so that a signal for pytest does not end it before pytest's last word, and ends with
    its pytest. pytest itself needs no network, and no thread that a test might meet.

    Attributes:
        socket: where it listens.
        is_only: whether its pytest shares its tests with nobody, so that it runs all of them, in its own order.
    """

    socket: str
    is_only: bool
    _folder: str
    _process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, config: pytest.Config) -> "Companion":
        """Start the companion of a pytest process.

        Raises:
            UsageError: there are no Unix sockets here, or it cannot be started.
        """
        if not hasattr(socket, "AF_UNIX"):
            raise pytest.UsageError("--tms needs Unix sockets, which this system does not have")
        folder = tempfile.mkdtemp(prefix="tms-")
        if len(folder) > _LONGEST_PATH:
            shutil.rmtree(folder)
            folder = tempfile.mkdtemp(prefix="tms-", dir="/tmp")
        path = os.path.join(folder, "socket")  # noqa: PTH118 - a name, and pathlib may be what a test patches
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(_BACKLOG)
        orders = {"listener": listener.fileno(), **_options(config)}
        with listener, open(os.path.join(folder, "log"), "wb") as log:  # noqa: PTH118, PTH123 - as above
            process = subprocess.Popen(  # noqa: S603 - this package's own module
                [sys.executable, "-P", "-m", "tms_sdk.companion_process", json.dumps(orders)],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return cls(path, _is_only(orders), folder, process)

    def wait(self) -> None:
        """Wait for its end, which follows ours."""
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_only(orders: dict[str, Any]) -> bool:
    has_a_say = orders["execution"] is not None or orders["rerun"] is not None or orders["shard"] is not None
    if has_a_say or orders["order"] != "duration" or not os.environ.get("TMS_TOKEN"):
        return False
    try:
        return node_of(os.environ).total == 1
    except UsageError:  # which the companion tells
        return False


def _options(config: pytest.Config) -> dict[str, Any]:
    return {
        "execution": config.option.tms_execution or os.environ.get("TMS_EXECUTION") or None,
        "mode": config.option.tms_mode,
        "order": config.option.tms_order,
        "rerun": config.option.tms_rerun,
        "shard": None if config.option.tms_shard is None else str(config.option.tms_shard),
        "spool": config.option.tms_spool,
    }
