"""The class and its usage, in Python."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.samples.conftest import Outcome, Run
from tests.samples.document import Document, filled_in

# What the sample leaves to its user. The second shard has no counters, so that the sample sends `results: {}` and null
# for all it looks for; the third leaves out those it could count.
RUN_TEST_SHARD = """

def run_test_shard(shard_id):
    def test(title, status):
        return {'title': f'{title} of {shard_id}', 'file': 'tests/test_login.py', 'status': status, 'duration': 12}

    tests = [test('logs in', 'passed'), test('logs out', 'passed'), test('is remembered', 'skipped')]
    if shard_id == 2:
        return {'summary': {}, 'tests': tests}
    if shard_id == 3:
        return {'failed': 1, 'summary': {'total': 4, 'failed': 1}, 'tests': [*tests, test('is let in', 'failed')]}
    now = datetime.utcnow().isoformat() + 'Z'
    summary = {'total': 3, 'passed': 2, 'failed': 0, 'skipped': 1, 'flaky': 1}
    return {'summary': summary, 'tests': tests, 'startTime': now, 'endTime': now, 'duration': 0}


if __name__ == '__main__':
    run_tests_with_tms()
"""

# The class without the notifications: the tests of one shard, for an execution that is made first where none is named.
ONE_SHARD = """
import sys
from tms_integration import TMSClient

base_url, token, shard_id, titles, execution_id = [*sys.argv[1:], None][:5]
client = TMSClient(token, base_url)
if execution_id is None:
    config = {'testSuite': 'api', 'environment': 'dev', 'provider': 'quiet', 'configuration': {'shards': 2}}
    execution_id = client.create_execution(config)['executionId']
tests = [{'title': title, 'status': 'passed'} for title in titles.split()]
print(execution_id, client.submit_results(execution_id, shard_id, {'tests': tests})['summary']['testsProcessed'])
"""


@pytest.fixture
def sample(document: Document, server: RunningServer, tmp_path: Path) -> Path:
    """The sample as a user's file."""
    code = document.sample("python", "class TMSClient", "def run_tests_with_tms")
    path = tmp_path / "tms_integration.py"
    path.write_text(filled_in(code, server) + RUN_TEST_SHARD)
    return path


@pytest.mark.contract("X-046", "X-048", "X-049", "X-050", "X-054", "X-057", "X-063", "X-064", "X-099")
def test_the_class_and_its_usage(sample: Path, run: Run, outcome: Callable[[str], Outcome]) -> None:
    printed = run([sys.executable, sample]).stdout
    (execution_id,) = re.findall(r"exec_\d+", printed)
    ended = outcome(execution_id)
    assert ended.execution["status"] == "completed"
    assert ended.execution["results"] == {"total": 10, "passed": 6, "failed": 1, "skipped": 3, "flaky": 1}
    assert ended.shards == {"1": ("completed", 3), "2": ("completed", 3), "3": ("failed", 4)}
    assert len(ended.tests) == len(ended.attempts) == 10
    assert ended.story == [
        "execution.created",
        "execution.started",
        *["shard.completed"] * 3,
        "execution.completed",
    ]


@pytest.mark.contract("X-062", "X-065")
def test_the_class_without_notifications(
    sample: Path, server: RunningServer, run: Run, outcome: Callable[[str], Outcome], tmp_path: Path
) -> None:
    (tmp_path / "one_shard.py").write_text(ONE_SHARD)
    assert sample.is_file()

    def submit(shard_id: str, titles: str, *execution_id: str) -> str:
        command = [sys.executable, "one_shard.py", f"{server.url}/api", server.token, shard_id, titles, *execution_id]
        named, processed = run(command).stdout.split()
        assert int(processed) == len(titles.split())
        return named

    execution_id = submit("1", "a b")
    begun = outcome(execution_id)
    assert begun.execution["status"] == "running"
    assert begun.execution["progress"]["startedAt"] is not None
    assert begun.story == ["execution.created", "execution.started", "shard.completed"]

    submit("1", "a b c", execution_id)
    assert outcome(execution_id).execution["results"]["total"] == 3, "a shard sent again replaces its former results"

    submit("2", "d", execution_id)
    ended = outcome(execution_id)
    assert ended.execution["status"] == "completed"
    assert ended.execution["results"] == {"total": 4, "passed": 4, "failed": 0, "skipped": 0, "flaky": 0}
    assert sorted(test["title"] for test in ended.tests) == ["a", "b", "c", "d"]
    assert ended.story[-1] == "execution.completed"
    assert ended.story.count("execution.completed") == 1
