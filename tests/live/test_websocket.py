"""One execution over a websocket, against a real server."""

import json

import pytest
from websockets.exceptions import InvalidStatus

from orchestrator.identity.roles import Role
from tests.live.client import Client, closed_with, names, results, take, take_until
from tests.live.conftest import TokenMaker
from tests.running import RunningServer


async def test_begins_with_what_get_prints_and_goes_on_with_each_event(client: Client) -> None:
    execution = await client.create(shards=2)
    async with client.watch(execution) as live:
        (snapshot,) = await take(live, 1)
        _, state = await client.ask("GET", f"/api/executions/{execution['executionId']}")
        assert snapshot == {"type": "snapshot", "seq": 1, "execution": state}
        await client.submit(execution, 1, results(3))
        await client.submit(execution, 2, results(2))
        frames = await take_until(live, "execution.completed")
    assert names(frames) == ["execution.started", "shard.completed", "shard.completed", "execution.completed"]
    assert [frame["seq"] for frame in frames] == [2, 3, 4, 5]
    assert {frame["executionId"] for frame in frames} == {execution["executionId"]}
    assert frames[1]["data"]["results"] == {"total": 3, "passed": 3, "failed": 0, "skipped": 0, "flaky": 0}


async def test_stays_open_after_the_end_for_results_that_replace_others(client: Client) -> None:
    execution = await client.create(shards=1)
    async with client.watch(execution) as live:
        await client.submit(execution, 1, results(3))
        await take_until(live, "execution.completed")
        await client.submit(execution, 1, results(4))
        (frame,) = await take(live, 1)
    assert (frame["event"], frame["seq"], frame["data"]["results"]["total"]) == ("shard.completed", 5, 4)


async def test_a_replay_gives_the_very_bytes_of_the_live_stream(client: Client) -> None:
    execution = await client.create(shards=1, metadata={"branch": "main", "note": "ünïcode\n"})
    async with client.watch(execution, "?after=0&tests=1") as live:
        await client.submit(execution, 1, results(201))
        first = [await live.recv() for _ in range(6)]
    async with client.watch(execution, "?after=0&tests=1") as live:
        again = [await live.recv() for _ in range(6)]
    assert sorted(map(str, first)) == sorted(map(str, again))
    assert names([json.loads(text) for text in again]) == [
        "execution.created",
        "execution.started",
        "shard.completed",
        "execution.completed",
        "tests",
        "tests",
    ]


async def test_resumes_after_an_event_without_a_snapshot(client: Client) -> None:
    execution = await client.create(shards=1)
    await client.submit(execution, 1)
    async with client.watch(execution, "?after=2") as live:
        assert [frame["seq"] for frame in await take(live, 2)] == [3, 4]


async def test_single_tests_come_in_numbered_frames_and_can_be_resumed(client: Client) -> None:
    execution = await client.create(shards=2)
    sent = {
        "title": "signs in",
        "file": "tests/login.spec.js",
        "status": "failed",
        "duration": 12.5,
        "error": "no such user",
        "retries": 2,
        "tags": ["auth", "smoke"],
    }
    async with client.watch(execution, "?tests=1") as live:
        await take(live, 1)
        await client.submit(execution, 1, [sent, *results(250)])
        frames = [frame for frame in await take(live, 4) if frame["type"] == "tests"]
        assert [(frame["n"], frame["shardId"], len(frame["tests"])) for frame in frames] == [
            (1, "1", 200),
            (2, "1", 51),
        ]
        assert frames[0]["tests"][0] == sent | {"ordinal": 1}
        assert frames[0]["tests"][1]["duration"] == 1
        await client.submit(execution, 2, results(1))
        later = [frame for frame in await take(live, 3) if frame["type"] == "tests"]
        assert [(frame["n"], frame["shardId"]) for frame in later] == [(3, "2")]
    async with client.watch(execution, "?after=5&tests=1&tests_after=2") as live:
        assert await take(live, 1) == later


async def test_who_does_not_ask_for_tests_gets_none(client: Client) -> None:
    execution = await client.create(shards=1)
    async with client.watch(execution) as live:
        await client.submit(execution, 1, results(3))
        assert "tests" not in names(await take_until(live, "execution.completed"))


async def test_a_browser_sends_its_token_as_a_subprotocol(client: Client) -> None:
    execution = await client.create()
    async with client.watch(execution, subprotocols=["tms.v1", f"bearer.{client.token}"]) as live:
        assert live.subprotocol == "tms.v1"
        assert names(await take(live, 1)) == ["snapshot"]


@pytest.mark.parametrize("token", ["", "tms_no_such_token"])
async def test_without_a_right_to_look_it_is_closed_with_4401(client: Client, token: str) -> None:
    execution = await client.create()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client.watch(execution, additional_headers=headers) as live:
        assert (await closed_with(live))[0] == 4401
    async with client.watch(execution, subprotocols=["tms.v1", f"bearer.{token or 'x'}"]) as live:
        assert (await closed_with(live))[0] == 4401


async def test_a_runners_webhook_token_gives_no_right_to_look(client: Client) -> None:
    execution = await client.create()
    async with client.at(token=execution["webhookToken"]).watch(execution) as live:
        assert (await closed_with(live))[0] == 4401


async def test_the_lowest_role_may_look(client: Client, token_for: TokenMaker) -> None:
    execution = await client.create()
    async with client.at(token=await token_for(Role.VIEWER)).watch(execution) as live:
        assert names(await take(live, 1)) == ["snapshot"]


async def test_an_unknown_or_foreign_execution_is_closed_with_4404(client: Client, token_for: TokenMaker) -> None:
    execution = await client.create()
    async with client.watch("exec_20250804000000000000000") as live:
        assert await closed_with(live) == (4404, "No execution exec_20250804000000000000000")
    async with client.at(token=await token_for(tenant="live-stranger")).watch(execution) as live:
        assert await closed_with(live) == (4404, f"No execution {execution['executionId']}")


async def test_offering_the_token_alone_is_refused_and_not_logged(client: Client, server: RunningServer) -> None:
    execution = await client.create()
    with pytest.raises(InvalidStatus) as refused:
        async with client.watch(execution, subprotocols=[f"bearer.{client.token}"]):
            pytest.fail("it was let in")
    assert refused.value.response.status_code == 422
    assert client.token not in server.log


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/executions/exec_1/live?after=-1", "after"),
        ("/api/executions/exec_1/live?after=x", "after"),
        ("/api/executions/exec_1/live?tests=perhaps", "tests"),
        ("/api/executions/exec_1/live?tests=1&tests_after=1.5", "tests_after"),
        ("/api/live?testSuite=unit", "testSuite"),
        ("/api/live?environment=moon", "environment"),
        ("/api/live?status=lost", "status"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(client: Client, path: str, field: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with client.websocket(path):
            pytest.fail("it was let in")
    assert refused.value.response.status_code == 422
    assert [detail["field"] for detail in json.loads(refused.value.response.body)["error"]["details"]] == [field]


async def test_what_a_reader_says_is_not_listened_to(client: Client) -> None:
    execution = await client.create(shards=1)
    async with client.watch(execution) as live:
        await take(live, 1)
        await live.send("hello")
        await client.submit(execution)
        await take_until(live, "execution.completed")
        await live.send("x" * 10_000)
        assert (await closed_with(live))[0] == 1009
