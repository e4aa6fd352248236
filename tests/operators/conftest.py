"""What the tests of operators' files share: a server's metrics, and Prometheus' own tool."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from websockets.sync.client import connect

from tests.operators.exported import Exported, outcome
from tests.running import ROOT, RunningServer

PROMETHEUS = ROOT / "dashboards" / "prometheus"
GRAFANA = ROOT / "dashboards" / "grafana"


@pytest.fixture(scope="session")
def exported(server: RunningServer) -> Exported:
    """What a server exports that has taken an execution and had a live reader."""
    headers = {"Authorization": f"Bearer {server.token}"}
    wanted = {"testSuite": "smoke", "environment": "dev", "provider": "tests", "configuration": {"shards": 1}}
    request = Request(  # noqa: S310 - our own server
        f"{server.url}/api/executions",
        json.dumps(wanted).encode(),
        {**headers, "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:  # noqa: S310 - as above
        assert answer.status == 201
    with connect(server.url.replace("http", "ws", 1) + "/api/live", additional_headers=headers) as reader:
        reader.recv()
    text = ""
    while "tms_live_closed_total{" not in text:  # the reader has left, which the server learns a moment later
        with urlopen(f"{server.url}/metrics") as answer:  # noqa: S310 - as above
            text = answer.read().decode()
    return Exported(text)


@pytest.fixture(scope="session")
def recorded() -> dict[str, frozenset[str]]:
    """The labels of what the recording rules make."""
    rules = [rule for group in groups("rules.yml") for rule in group["rules"]]
    return {rule["record"]: outcome(rule["expr"]) for rule in rules}


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a file of rules."""
    found: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
    return found


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Run Prometheus' tool; fails with all that it printed where that finds a fault."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: `apt-get install prometheus` has it, and .ci/run fetches it alone"
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
