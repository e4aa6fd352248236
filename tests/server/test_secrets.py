"""No secret is in a log or, as it is, in the database."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import pytest

from storage import postgres
from tests.running import RunningServer
from tests.server.conftest import Orchestrator

LOGS = ("serve.log", "postgres.log", "valkey.log")


class Flow:
    """A full flow, by the secrets that were in it and what was answered.

    Attributes:
        secrets: by what they are.
        refused: the request ids of answers that were refusals.
    """

    def __init__(self, server: RunningServer) -> None:
        self.secrets = {"API token": server.token}
        self.refused: list[str] = []
        self._http = httpx.Client(base_url=server.url, trust_env=False)
        with self._http:
            self._manage_tokens()
            self._run()

    def _send(self, method: str, path: str, token: str, body: object = None, *, is_fine: bool = True) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
        answer = self._http.request(method, path, headers=headers, json=body)
        assert answer.is_success is is_fine, answer.text
        if not is_fine:
            self.refused.append(answer.headers["X-Request-Id"])
        return answer

    def _manage_tokens(self) -> None:
        admin = self.secrets["API token"]
        made = self._send("POST", "/api/tokens", admin, {"name": "flow", "role": "qa_lead"}).json()
        self.secrets["made token"] = made["token"]
        rotated = self._send("POST", f"/api/tokens/{made['id']}/rotate", admin).json()
        self.secrets["rotated token"] = rotated["token"]
        self._send("GET", "/api/executions", made["token"], is_fine=False)
        self._send("GET", "/api/executions", "tms_not_a_token_at_all_0123456789", is_fine=False)
        self.secrets["mistyped token"] = "tms_not_a_token_at_all_0123456789"

    def _run(self) -> None:
        token = self.secrets["rotated token"]
        creation = {"testSuite": "smoke", "environment": "dev", "provider": "secrets"}
        created = self._send("POST", "/api/executions", token, creation).json()
        webhook_token = self.secrets["webhook token"] = created["webhookToken"]
        execution_id = created["executionId"]
        inbound = f"/api/webhooks/executions/{execution_id}"
        event = {"event": "execution.started", "timestamp": "2025-08-04T12:35:00.000Z", "executionId": execution_id}
        self._send("POST", inbound, webhook_token, event)
        self._send("POST", inbound, token, event, is_fine=False)
        self._send("POST", inbound, webhook_token, event | {"event": "none"}, is_fine=False)
        self._send("POST", "/api/results", webhook_token, {}, is_fine=False)
        self._send("POST", "/api/results", token, {}, is_fine=False)
        results = {"executionId": execution_id, "shardId": "1", "status": "completed", "results": {"total": 1}}
        self._send("POST", "/api/results", token, results)
        self._send("DELETE", f"/api/executions/{execution_id}", token, is_fine=False)


@pytest.fixture(scope="module")
def flow(server: RunningServer) -> Flow:
    done = Flow(server)
    parts = urlsplit(server.database_url)
    done.secrets["database password"] = unquote(parts.password or "")
    done.secrets["secret key"] = (server.data_dir / "secret-key").read_text()
    assert all(len(secret) > 15 for secret in done.secrets.values())
    return done


def log_files(server: RunningServer) -> Iterator[Path]:
    yield from (server.data_dir / name for name in LOGS)
    ray = Path(f"/tmp/tms-ray-{server.pid}")
    logs = [path for path in ray.rglob("*") if path.is_file() and "logs" in path.parts]
    assert logs, "Ray keeps logs too"
    yield from logs


@pytest.mark.contract("X-093")
def test_no_secret_is_in_a_log(server: RunningServer, flow: Flow) -> None:
    for path in log_files(server):
        text = path.read_text(errors="replace")
        assert [name for name, secret in flow.secrets.items() if secret in text] == [], path


@pytest.mark.contract("X-086")
def test_the_log_is_json_a_line_each_and_names_the_request(server: RunningServer, flow: Flow) -> None:
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    by_request = {line["request_id"]: line for line in lines if "request_id" in line}
    for request_id in flow.refused:
        assert by_request[request_id]["event"] == "request refused"
        assert by_request[request_id]["short_id"].startswith("req_")


@pytest.mark.contract("X-094")
async def test_no_secret_is_in_the_database(server: RunningServer, flow: Flow, orchestrator: Orchestrator) -> None:
    made = orchestrator("token", "create", "--name", "from the command", data_dir=server.data_dir)
    secrets = flow.secrets | {"token of the command": made.stdout.strip()}
    connection = await postgres.connect(server.database_url)
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT LIKE 'pg_%'"
        " AND schemaname <> 'information_schema'"
    )
    assert "public.api_tokens" in [table for (table,) in tables]
    looked_at = 0
    for (table,) in tables:
        for name, secret in secrets.items():
            counts = await connection.fetchrow(
                "SELECT count(*) AS rows, count(*) FILTER ("  # noqa: S608 - names of tables, quoted by Postgres itself
                "  WHERE position($1 IN whole::text) > 0"
                "     OR position(encode(convert_to($1, 'UTF8'), 'hex') IN whole::text) > 0) AS found"
                f" FROM {table} AS whole",
                secret,
            )
            assert counts is not None
            looked_at += counts["rows"]
            assert counts["found"] == 0, f"{name} in {table}"
    assert looked_at > 0
    await connection.close()
