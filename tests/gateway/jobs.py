"""Jobs that are Python programs, and executions that run them."""

import sys
from typing import Any

from tests.gateway.conftest import Api
from tests.patience import eventually

WAITS_ONCE = """
import os, time
try:
    open(MARK, "x").close()
except FileExistsError:
    open("report.xml", "w").write('<testsuite><testcase name="works"/></testsuite>')
else:
    print("waits as", os.getpid(), flush=True)
    time.sleep(1000)
"""
"""A program that waits for ever, and reports a test when it is run again."""


def job(code: str, *arguments: str, **fields: Any) -> dict[str, Any]:
    """A job that runs a program, as it is registered; braces in the program are no placeholders."""
    literal = code.replace("{", "{{").replace("}", "}}")
    return {"command": [sys.executable, "-c", literal, *arguments], "resources": {"cpus": 0.1}} | fields


async def registered(api: Api, name: str, body: dict[str, Any]) -> Any:
    """What the first registration of a job answers."""
    answer = await api.send("PUT", f"/api/jobs/{name}", body)
    assert answer.status == 201, answer.raw
    return answer.json


async def run(api: Api, name: str, parameters: dict[str, str] | None = None, **configuration: Any) -> str:
    """The id of an execution that runs a job."""
    asked = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    return str((await api.create(provider="managed", job=asked, configuration=configuration))["executionId"])


async def ended(api: Api, execution_id: str) -> Any:
    """An execution, once it and its processes have ended."""

    async def has_ended() -> bool:
        return all(shard["state"] == "ended" for shard in (await shards(api, execution_id)))

    await eventually(has_ended)
    return await api.state(execution_id)


async def shards(api: Api, execution_id: str) -> list[dict[str, Any]]:
    """How the shards of an execution are run."""
    listed: list[dict[str, Any]] = (await api.get(f"/api/executions/{execution_id}/job")).json["shards"]
    return listed


async def output(api: Api, execution_id: str, shard: int = 1, **params: str) -> str:
    """What a shard's command has written so far."""
    answer = await api.get(f"/logs/{execution_id}/shard-{shard}", params=params)
    assert answer.status == 200, answer.raw
    return answer.raw.decode()


async def said(api: Api, execution_id: str, text: str, shard: int = 1) -> str:
    """A shard's output, once this text is in it."""

    async def is_there() -> bool:
        return text in await output(api, execution_id, shard)

    await eventually(is_there)
    return await output(api, execution_id, shard)
