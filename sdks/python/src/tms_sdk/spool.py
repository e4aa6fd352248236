"""How a pytest process that we started tells us what happens: one JSON object a line, in a file.

A file outlives a process that is killed, never makes a test wait for its reader, and needs no network in the process
under test. The lines:

`{"start": nodeid}` a test begins · `{"test": record, "nodeid": nodeid}` a test has ended (no `nodeid`: a file that was
skipped as a whole) · `{"broken": record}` a file could not be collected · `{"collected": {file: tests}}` what
`--collect-only` found · `{"finish": code}` pytest has told all it had, and will exit with about this code.

Imported by the pytest plugin, so it imports next to nothing.
"""

import json
import os
from pathlib import Path
from typing import Any, TypedDict

# The variable that hands a pytest process its orders, and what makes it load the plugin that reads them.
ORDERS_VARIABLE = "TMS_PYTEST_ORDERS"
RUN_OPTIONS = "-p tms_sdk.pytest_plugin"
COLLECT_OPTIONS = f"{RUN_OPTIONS} --collect-only"

FIRST_SHARD = 1


class Orders(TypedDict):
    """What a pytest process shall do: `plan` tells each file's shard; without `shard` it only collects."""

    spool: str
    shard: int | None
    plan: dict[str, int]


class SpoolWriter:
    """The writing end, in the pytest process."""

    def __init__(self, path: str) -> None:
        # Unbuffered and opened once: a line is complete when a test kills the process, and a test that fakes the file
        # system or forbids opening files does not reach it.
        self._owner = os.getpid()
        self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - open as long as its process

    def write(self, **line: object) -> None:
        """Add one line. What a test forks may run on as a second pytest; only the first one's word counts."""
        if os.getpid() == self._owner:
            self._file.write(json.dumps(line).encode("ascii") + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SpoolReader:
    """The reading end: returns each line once, complete ones only."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("rb")
        self._rest = b""

    def news(self) -> list[dict[str, Any]]:
        """Return the lines written since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
