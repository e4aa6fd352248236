"""A request sent again with its `Idempotency-Key` is carried out once."""

import asyncio
from uuid import uuid4

import pytest

from tests.gateway.conftest import CREATION, Api, moment, outcomes


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


@pytest.mark.contract("X-085")
async def test_a_creation_sent_again_gives_the_first_answer(api: Api) -> None:
    headers = key()
    first = await api.post("/api/executions", CREATION, headers=headers)

    again = await api.post("/api/executions", CREATION, headers=headers)
    other = await api.post("/api/executions", CREATION, headers=key())

    assert (again.status, again.json) == (201, first.json)
    assert other.json["executionId"] != first.json["executionId"]
    assert (await api.get(f"/api/executions/{first.json['executionId']}/events")).json["lastSeq"] == 1


@pytest.mark.contract("X-085")
async def test_many_at_once_make_one(api: Api) -> None:
    headers = key()

    answers = await asyncio.gather(*(api.post("/api/executions", CREATION, headers=headers) for _ in range(20)))

    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["executionId"] for answer in answers}) == 1


async def test_a_key_belongs_to_one_body_one_path_and_one_caller(api: Api, stranger: Api) -> None:
    headers = key()
    first = await api.post("/api/executions", CREATION, headers=headers)

    reused = await api.post("/api/executions", CREATION | {"provider": "other"}, headers=headers)
    elsewhere = await api.post("/api/tokens", {"name": "x"}, headers=headers)
    foreign = await stranger.post("/api/executions", CREATION, headers=headers)

    assert (reused.status, reused.error["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert elsewhere.status == foreign.status == 201
    assert foreign.json["executionId"] != first.json["executionId"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "\xe9"])
async def test_a_key_is_visible_ascii(api: Api, bad: str) -> None:
    for path, body in (("/api/executions", CREATION), ("/api/tokens", {"name": "x"})):
        answer = await api.post(path, body, headers={"Idempotency-Key": bad})
        assert answer.status == 422
        assert list(answer.fields) == ["Idempotency-Key"]


@pytest.mark.contract("X-085")
async def test_results_and_events_sent_again(api: Api) -> None:
    execution = await api.create(configuration={"shards": 2})
    execution_id, headers = execution["executionId"], key()
    body = {"executionId": execution_id, "shardId": "1", "status": "completed", "tests": outcomes(3)}
    event = {"event": "execution.progress", "timestamp": moment(), "data": {"a": 1}}
    runner = api.with_token(execution["webhookToken"])

    for path, sent, caller in (("/api/results", body, api), (execution["webhookUrl"], event, runner)):
        first = await caller.post(path, sent, headers=headers)
        # What came in between does not change the answer to the first.
        await api.submit(execution_id, "1", tests=outcomes(9))
        again = await caller.post(path, sent, headers=headers)
        assert (again.status, again.json) == (first.status, first.json)

    assert (await api.state(execution_id))["results"]["total"] == 9
    events = (await api.get(f"/api/executions/{execution_id}/events")).json["events"]
    assert [one["event"] for one in events].count("execution.progress") == 1


@pytest.mark.contract("X-085")
async def test_a_token_made_again_is_the_same_token(api: Api) -> None:
    headers = key()
    first = await api.post("/api/tokens", {"name": "ci"}, headers=headers)

    again = await api.post("/api/tokens", {"name": "ci"}, headers=headers)
    reused = await api.post("/api/tokens", {"name": "other"}, headers=headers)

    assert (again.status, again.json) == (201, first.json)
    assert (reused.status, reused.error["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    rotation = key()
    rotated = await api.post(f"/api/tokens/{first.json['id']}/rotate", headers=rotation)
    assert (await api.post(f"/api/tokens/{first.json['id']}/rotate", headers=rotation)).json == rotated.json
    assert (await api.post("/api/tokens", {"name": "ci"}, headers=headers)).status == 409
