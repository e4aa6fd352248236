"""The two blocks of shell commands."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningServer
from tests.samples.conftest import Outcome, Run
from tests.samples.document import Document, filled_in

# A user's own settings of curl: print each answer's status below its body.
SETTINGS = 'silent\nshow-error\nwrite-out = "\\n%{http_code}\\n"\n'


class Shell:
    """Runs blocks of commands with bash, as they are.

    Attributes:
        sent: the timestamps in the commands that ran.
    """

    def __init__(self, run: Run, home: Path) -> None:
        assert shutil.which("curl"), "curl is not installed, and these samples are nothing without it"
        (home / ".curlrc").write_text(SETTINGS)
        self._run = run
        self._home = home
        self.sent: list[str] = []

    def __call__(self, block: str) -> list[tuple[int, dict[str, Any]]]:
        """Run a block; returns each answer's status and body."""
        # -x tells on standard error each command as it is run.
        done = self._run(["bash", "-e", "-x", "-c", block], CURL_HOME=str(self._home))
        self.sent = re.findall(r'"timestamp": "([^"]+)"', done.stderr)
        answers = re.findall(r"^(\{.*\})\n(\d{3})$", done.stdout, re.MULTILINE)
        return [(int(status), json.loads(body)) for body, status in answers]


@pytest.fixture
def shell(run: Run, tmp_path: Path) -> Shell:
    return Shell(run, tmp_path)


@pytest.mark.contract("X-043", "X-046", "X-047", "X-050", "X-096", "X-097")
def test_both_steps(document: Document, server: RunningServer, shell: Shell, outcome: Callable[[str], Outcome]) -> None:
    first = document.sample("bash", "/api/executions", "YOUR_API_TOKEN")
    ((status, created),) = shell(filled_in(first, server))
    assert status == 201
    assert (created["status"], created["configuration"]["shards"]) == ("created", 4)
    execution_id = created["executionId"]

    second = document.sample("bash", "WEBHOOK_TOKEN", "execution.started", "execution.completed")
    (sample_id,) = re.findall(r'EXECUTION_ID="(.*)"', second)
    (sample_token,) = re.findall(r'WEBHOOK_TOKEN="(.*)"', second)
    block = filled_in(second, server, **{sample_id: execution_id, sample_token: created["webhookToken"]})
    answers = shell(block)
    assert [(status, body["status"]) for status, body in answers] == [(200, "running"), (200, "completed")]

    started, completed = shell.sent
    ended = outcome(execution_id)
    assert ended.execution["status"] == "completed"
    assert ended.execution["results"] == {"total": 100, "passed": 95, "failed": 5, "skipped": 0, "flaky": 0}
    progress = ended.execution["progress"]
    assert (progress["startedAt"], progress["completedAt"]) == (started, completed)
    assert ended.story == ["execution.created", "execution.started", "execution.completed"]

    assert [status for status, _ in shell(block)] == [200, 200], "told once more, it changes nothing"
    assert outcome(execution_id).events == ended.events
