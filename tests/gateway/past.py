"""Executions that a runner brought to their end through the API, and waiting until history knows them."""

from typing import Any

from tests.gateway.conftest import Api
from tests.patience import eventually


def outcome(title: str, status: str = "passed", **fields: Any) -> dict[str, Any]:
    """A test as a runner lists it."""
    return {"title": title, "file": "tests/a.js", "status": status, "duration": 100} | fields


async def executed(api: Api, *shards: list[dict[str, Any]], branch: str | None = "main", **fields: Any) -> str:
    """An execution whose shards ended with these tests; its id."""
    metadata = {} if branch is None else {"metadata": {"branch": branch, "commit": "abc123"}}
    plain = {"testSuite": "regression", "metadata": None}
    execution_id = await api.created(len(shards), **plain | metadata | fields)
    for number, tests in enumerate(shards, 1):
        answer = await api.submit(execution_id, str(number), tests=tests)
        assert answer.status == 201, answer.raw
    return execution_id


async def digested(api: Api, *execution_ids: str) -> None:
    """Wait until history knows these executions."""

    async def are_known() -> bool:
        suites = (await api.get("/api/suites", params={"points": "200"})).json["suites"]
        return {*execution_ids} <= {point["executionId"] for one in suites for point in one["points"]}

    await eventually(are_known)


async def tests_of(api: Api, **query: str) -> list[dict[str, Any]]:
    """The tests that history knows, as they are listed."""
    answer = await api.get("/api/tests", params=query)
    assert answer.status == 200, answer.raw
    listed: list[dict[str, Any]] = answer.json["tests"]
    return listed
