"""Executions that the server runs itself: a registered job in shards on the local cluster."""

import sys
from typing import Any

from tests.gateway.conftest import Api
from tests.patience import eventually

REPORT = """
import os, sys
shard = os.environ["TMS_SHARD"]
print("hello from", shard, "of", os.environ["TMS_SHARDS"], os.environ["GREETING"], flush=True)
os.makedirs("out", exist_ok=True)
with open(f"out/{shard}.xml", "w") as file:
    file.write(f'<testsuite><testcase classname="suite" name="works in {shard}" time="0.1"/></testsuite>')
"""


def job(code: str, *arguments: str, **fields: Any) -> dict[str, Any]:
    """A job that runs a Python program."""
    literal = code.replace("{", "{{").replace("}", "}}")
    return {"command": [sys.executable, "-c", literal, *arguments], "resources": {"cpus": 0.1}} | fields


async def registered(api: Api, name: str, body: dict[str, Any]) -> None:
    answer = await api.send("PUT", f"/api/jobs/{name}", body)
    assert answer.status == 201, answer.raw


async def run(api: Api, name: str, shards: int = 1, parameters: dict[str, str] | None = None, **fields: Any) -> str:
    asked = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    created = await api.create(provider="managed", job=asked, configuration={"shards": shards} | fields)
    return str(created["executionId"])


async def ended(api: Api, execution_id: str) -> Any:
    """The execution, once it has ended."""

    async def has_ended() -> bool:
        return (await api.state(execution_id))["status"] not in ("created", "running")

    await eventually(has_ended)
    return await api.state(execution_id)


async def output(api: Api, execution_id: str, shard: int = 1, **params: str) -> str:
    answer = await api.get(f"/logs/{execution_id}/shard-{shard}", params=params)
    assert answer.status == 200, answer.raw
    return answer.raw.decode()


async def test_a_job_runs_in_shards_and_its_reports_are_the_results(newcomer: Api) -> None:
    await registered(newcomer, "two", job(REPORT, reports="out/*.xml", environment={"GREETING": "and good day"}))
    execution_id = await run(newcomer, "two", shards=2)
    state = await ended(newcomer, execution_id)
    assert (state["status"], state["results"]["passed"], state["results"]["total"]) == ("completed", 2, 2)
    for shard in (1, 2):
        assert f"hello from {shard} of 2 and good day\n" in await output(newcomer, execution_id, shard)
