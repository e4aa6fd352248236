"""The integration document and what it takes to run its samples; without the document, these tests are not run."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningServer
from tests.samples.document import Document
from tms_sdk import TMSClient

NOT_RUN = pytest.StashKey[int]()
FINAL = frozenset({"completed", "failed", "cancelled"})


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--spec").is_file():
        return
    ours = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    config.stash[NOT_RUN] = len(ours)
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if number := config.stash.get(NOT_RUN, 0):
        terminalreporter.section("NOT RUN: the samples of the integration document", red=True, bold=True)
        path = config.getoption("--spec")
        terminalreporter.line(f"{number} tests need the document, and there is none at {path}; name it with --spec.")


@pytest.fixture(scope="session")
def document(pytestconfig: pytest.Config) -> Document:
    return Document(pytestconfig.getoption("--spec").read_text())


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program in `tmp_path` and see it end well."""

    def run_it(command: Sequence[str | Path], **environ: str) -> subprocess.CompletedProcess[str]:
        # Whatever proxy the machine uses, the server under test is on the machine itself.
        own = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | own | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run_it


class Outcome:
    """What the server has of an execution: as `GET` prints it, its tests, its events."""

    def __init__(self, server: RunningServer, execution_id: str) -> None:
        with TMSClient(server.token, server.url) as client:
            self.execution: dict[str, Any] = {**client.get_execution(execution_id)}
            self.tests: list[dict[str, Any]] = client.tests(execution_id, limit=1000)["tests"]
            self.attempts: list[dict[str, Any]] = client.tests(execution_id, limit=1000, attempts="all")["tests"]
            self.events: list[dict[str, Any]] = client.events(execution_id)["events"]

    @property
    def story(self) -> list[str]:
        """The names of its events, which are numbered without a gap."""
        assert [event["seq"] for event in self.events] == list(range(1, len(self.events) + 1))
        return [event["event"] for event in self.events]

    @property
    def shards(self) -> dict[str, tuple[str, int]]:
        """Each shard's status and total."""
        return {
            shard["shardId"]: (shard["status"], shard["results"]["total"]) for shard in self.execution["shardResults"]
        }


@pytest.fixture
def outcome(server: RunningServer) -> Callable[[str], Outcome]:
    def of(execution_id: str) -> Outcome:
        return Outcome(server, execution_id)

    return of
