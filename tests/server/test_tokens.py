"""`orchestrator token`, beside a running server and without one."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.patience import eventually
from tests.running import RunningServer
from tests.server.conftest import Orchestrator


def status(server: RunningServer, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.url}/api/executions", headers=headers, trust_env=False).status_code


def listed(orchestrator: Orchestrator, **settings: Any) -> dict[str, dict[str, Any]]:
    """All tokens by name."""
    done = orchestrator("token", "list", "--json", **settings)
    assert done.returncode == 0, done.stderr
    return {token["name"]: token for token in json.loads(done.stdout)}


@pytest.mark.contract("X-002")
async def test_beside_a_running_server(orchestrator: Orchestrator, server: RunningServer) -> None:
    settings = {"data_dir": server.data_dir}
    done = orchestrator("token", "create", "--name", "a pipeline", "--role", "viewer", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    token = done.stdout.strip()
    assert status(server, token) == 200

    shown = listed(orchestrator, **settings)["a pipeline"]
    assert token.startswith(shown["prefix"])
    assert token not in json.dumps(shown)
    assert (shown["role"], shown["revoked_at"]) == ("viewer", None)

    done = orchestrator("token", "revoke", shown["token_id"], **settings)
    assert (done.returncode, done.stdout) == (0, f"{shown['token_id']} is revoked.\n")

    async def is_refused() -> bool:
        return status(server, token) == 401

    await eventually(is_refused)
    assert listed(orchestrator, **settings)["a pipeline"]["revoked_at"] is not None


def test_without_a_server(orchestrator: Orchestrator, data_dir: Path) -> None:
    done = orchestrator("token", "create", "--name", "first", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    table = orchestrator("token", "list", data_dir=data_dir).stdout
    assert "first" in table
    assert token not in table
    with RunningServer(data_dir) as server:
        assert status(server, token) == 200
    assert server.is_gone()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--tenant", "nobody"), "No tenant nobody"),
        (("revoke", "tok_0"), "No token tok_0"),
    ],
)
def test_what_there_is_not(
    orchestrator: Orchestrator, server: RunningServer, arguments: tuple[str, ...], words: str
) -> None:
    done = orchestrator("token", *arguments, data_dir=server.data_dir)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"orchestrator: {words}\n")
