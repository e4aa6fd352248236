"""The same frames as server-sent events, against a real server."""

import asyncio

import pytest

from tests.live.client import Client, results
from tests.live.conftest import TokenMaker


async def test_gives_snapshot_and_events_with_their_numbers_as_ids(client: Client) -> None:
    execution = await client.create(shards=1)
    async with client.stream(f"/api/executions/{execution['executionId']}/live") as stream:
        assert stream.answer.status == 200
        assert stream.answer.content_type == "text/event-stream"
        begun = await stream.next()
        await client.submit(execution, 1)
        events = [await stream.next() for _ in range(3)]
    assert begun is not None
    assert (begun[0], begun[1]["type"], begun[1]["seq"]) == ("1", "snapshot", 1)
    assert [(event[0], event[1]["seq"]) for event in events if event is not None] == [("2", 2), ("3", 3), ("4", 4)]


async def test_goes_on_after_the_last_event_id(client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1)
    path = f"/api/executions/{execution['executionId']}/live"
    async with client.stream(f"{path}?after=1", Last_Event_ID="3") as stream:
        event = await stream.next()
    assert event is not None
    assert (event[0], event[1]["event"]) == ("4", "execution.completed")


async def test_frames_of_tests_have_no_id_so_that_the_last_one_stays_an_events(client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1, results(2))
    async with client.stream(f"/api/executions/{execution['executionId']}/live?after=4&tests=1") as stream:
        event = await stream.next()
    assert event is not None
    assert (event[0], event[1]["type"], event[1]["n"]) == (None, "tests", 1)


async def test_headers_come_at_once_where_nothing_happens(client: Client) -> None:
    execution = await client.create()
    async with (
        asyncio.timeout(10),
        client.stream(f"/api/executions/{execution['executionId']}/live?after=1") as stream,
    ):
        assert stream.answer.status == 200
        assert stream.answer.headers["X-Request-Id"]


async def test_all_executions_have_no_ids(client: Client) -> None:
    async with client.stream("/api/live?testSuite=ui&environment=dev") as stream:
        execution = await client.create(testSuite="ui", environment="dev")
        event = await stream.next()
    assert event is not None
    assert (event[0], event[1]["executionId"]) == (None, execution["executionId"])


@pytest.mark.parametrize("path", ["/api/executions/exec_unknown/live", "/api/executions/%20/live"])
async def test_an_unknown_execution_is_answered_404(client: Client, path: str) -> None:
    async with client.stream(path) as stream:
        assert stream.answer.status == 404
        assert (await stream.answer.json())["error"]["code"] == "NOT_FOUND"


async def test_a_foreign_execution_is_answered_404(client: Client, token_for: TokenMaker) -> None:
    execution = await client.create()
    stranger = client.at(token=await token_for(tenant="stream-stranger"))
    async with stranger.stream(f"/api/executions/{execution['executionId']}/live") as stream:
        assert stream.answer.status == 404


async def test_an_unknown_token_is_answered_401(client: Client) -> None:
    async with client.at(token="tms_unknown").stream("/api/live") as stream:
        assert stream.answer.status == 401
        assert stream.answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_last_event_id_that_is_no_number_is_answered_422(client: Client) -> None:
    async with client.stream("/api/executions/exec_1/live", Last_Event_ID="first") as stream:
        assert stream.answer.status == 422
        assert (await stream.answer.json())["error"]["details"][0]["field"] == "after"


async def test_who_asks_for_neither_transport_is_told_so(client: Client) -> None:
    status, answer = await client.ask("GET", "/api/live")
    assert status == 422
    assert answer["error"]["details"][0]["field"] == "Accept"
