"""Plans, claims and streamed results through HTTP."""

from typing import Any

import pytest

from tests.gateway.conftest import Answer, Api
from tests.patience import eventually

TESTS = [{"file": f"tests/test_{file}.py", "title": f"test_{number}"} for file in range(4) for number in range(3)]


async def planned(api: Api, mode: str = "queue", shards: int = 2, tests: Any = None, **fields: Any) -> str:
    """The id of an execution with a plan."""
    execution_id = str((await api.create(configuration={"shards": shards, "retries": 1}))["executionId"])
    answer = await plan(api, execution_id, mode=mode, tests=tests or TESTS, **fields)
    assert answer.status == 201, answer.raw
    return execution_id


async def plan(api: Api, execution_id: str, **body: Any) -> Answer:
    return await api.send("PUT", f"/api/executions/{execution_id}/plan", body)


async def claim(api: Api, execution_id: str, runner: str = "a", **body: Any) -> Any:
    answer = await api.post(f"/api/executions/{execution_id}/claims", {"runnerId": runner} | body)
    assert answer.status == 200, answer.raw
    return answer.json


async def stream(api: Api, execution_id: str, claimed: Any, tests: Any, **options: Any) -> Answer:
    body = {"leaseId": claimed["leaseId"], "runnerId": claimed["runnerId"], "tests": tests}
    return await api.post(f"/api/executions/{execution_id}/shards/{claimed['shardId']}/tests", body, **options)


def results(tests: Any, status: str = "passed") -> list[Any]:
    return [{"file": one["file"], "title": one["title"], "status": status, "duration": 10} for one in tests]


async def close(api: Api, execution_id: str, shard: str, **body: Any) -> Answer:
    return await api.post("/api/results", {"executionId": execution_id, "shardId": shard, "status": "completed"} | body)


async def test_a_runner_takes_all_tests_batch_by_batch_and_the_execution_ends(api: Api) -> None:
    execution_id = await planned(api, shards=1)
    seen: list[Any] = []
    claimed = await claim(api, execution_id)
    while claimed["state"] == "leased":
        seen += claimed["tests"]
        answer = await stream(api, execution_id, claimed, results(claimed["tests"]))
        assert (answer.status, answer.json["accepted"], answer.json["order"]) == (
            200,
            len(claimed["tests"]),
            "continue",
        )
        claimed = await claim(api, execution_id, done=claimed["leaseId"])

    assert claimed["state"] == "done"
    running = await api.state(execution_id)
    assert (running["status"], running["results"]["total"]) == ("running", 12)
    closed = await close(api, execution_id, "1", artifacts={"logs": ["run.log"]})
    assert closed.status == 201
    ended = await api.state(execution_id)
    assert (ended["status"], ended["reasonCode"], ended["results"]["passed"]) == ("completed", None, 12)
    assert ended["plan"] == {
        "mode": "queue",
        "planned": 12,
        "reported": 12,
        "missing": 0,
        "unexpected": 0,
        "leases": 0,
        "expectedDuration": 12000,
        "remainingDuration": 0,
    }
    assert sorted((one["file"], one["title"]) for one in seen) == sorted((one["file"], one["title"]) for one in TESTS)
    listed = (await api.get(f"/api/executions/{execution_id}/tests?limit=1000")).json["tests"]
    assert len({(one["file"], one["title"]) for one in listed}) == len(listed) == 12
    logs = (await api.get(f"/logs/{execution_id}")).json
    assert logs["shards"]["1"] == ["run.log"]


async def test_a_static_plan_gives_each_runner_its_shard(api: Api) -> None:
    execution_id = await planned(api, "static")
    shown = (await api.get(f"/api/executions/{execution_id}/plan")).json
    first, second = await claim(api, execution_id, "a"), await claim(api, execution_id, "b", shardId="2")

    assert [one["tests"] for one in shown["shards"]] == [len(first["tests"]), len(second["tests"])]
    assert (first["shardId"], second["shardId"]) == ("1", "2")
    assert len(first["tests"]) + len(second["tests"]) == 12
    state = await api.state(execution_id)
    assert [one["plan"]["runnerId"] for one in state["shardResults"]] == ["a", "b"]
    assert (await claim(api, execution_id, "late"))["state"] == "wait"


async def test_who_plans_later_is_told_how_its_manifest_differs(api: Api) -> None:
    execution_id = await planned(api)

    same = await plan(api, execution_id, mode="static", tests=TESTS[::-1])
    other = await plan(api, execution_id, mode="queue", tests=[*TESTS[1:], {"file": "new.py", "title": "new"}])

    assert (same.status, same.json["mode"], same.json["differs"]) == (200, "queue", None)
    assert other.json["differs"] == {
        "missing": 1,
        "missingTests": [TESTS[0]],
        "unexpected": 1,
        "unexpectedTests": [{"file": "new.py", "title": "new"}],
    }


async def test_each_streamed_test_is_answered_by_itself(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    claimed = await claim(api, execution_id)
    good = results(claimed["tests"][:2])
    broken = [
        {"file": "a", "status": "passed"},
        {"title": "x", "status": "maybe"},
        7,
        {"title": "a\0", "status": "passed"},
    ]

    answer = (await stream(api, execution_id, claimed, [good[0], *broken, good[1], good[0]])).json

    assert [one["outcome"] for one in answer["records"]] == ["accepted", *["rejected"] * 4, "accepted", "duplicate"]
    assert [one.get("reason") for one in answer["records"][1:5]] == [
        "title: Required",
        "status: Must be one of: passed, failed, skipped",
        "body: Must be an object",
        "title: Must not contain the NUL character",
    ]
    assert (answer["accepted"], answer["duplicates"], answer["rejected"], answer["late"]) == (2, 1, 4, 0)
    assert (await api.state(execution_id))["results"]["total"] == 2


async def test_a_piece_of_a_stream_sent_again_with_its_key_is_answered_as_before(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    claimed = await claim(api, execution_id)
    tests = results(claimed["tests"][:3], "failed")

    first = await stream(api, execution_id, claimed, tests, headers={"Idempotency-Key": "piece 1".replace(" ", "-")})
    again = await stream(api, execution_id, claimed, tests, headers={"Idempotency-Key": "piece-1"})

    assert first.json["accepted"] == again.json["accepted"] == 3
    assert (await api.state(execution_id))["results"] == {
        "total": 3,
        "failed": 3,
        "passed": 0,
        "skipped": 0,
        "flaky": 0,
    }


async def test_attempts_of_streamed_tests_are_kept(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    claimed = await claim(api, execution_id)
    (flaky,) = results(claimed["tests"][:1])
    tries = [{"status": "failed", "duration": 5, "error": "boom"}]

    await stream(api, execution_id, claimed, [{**flaky, "retries": 1, "attempts": tries}])

    (listed,) = (await api.get(f"/api/executions/{execution_id}/tests")).json["tests"]
    assert listed["details"]["attempts"] == tries
    assert (await api.state(execution_id))["results"]["flaky"] == 1


async def test_a_lease_is_kept_alive_handed_back_and_then_not_the_runners_any_more(api: Api) -> None:
    execution_id = await planned(api, shards=1)
    claimed = await claim(api, execution_id)
    lease = f"/api/executions/{execution_id}/claims/{claimed['leaseId']}"

    beat = await api.post(f"{lease}/heartbeat", {"runnerId": "a"})
    returned = await api.delete(f"{lease}?runnerId=a")
    after = await api.post(f"{lease}/heartbeat", {"runnerId": "a"})
    late = await stream(api, execution_id, claimed, results(claimed["tests"]))

    assert (beat.json["order"], returned.json["returned"]) == ("continue", len(claimed["tests"]))
    assert (await api.delete(f"{lease}?runnerId=a")).json["returned"] == 0
    assert after.json["order"] == "abandon"
    assert (late.json["late"], late.json["order"]) == (len(claimed["tests"]), "abandon")
    kept = (await api.get(f"/api/executions/{execution_id}/tests?attempts=all")).json["tests"]
    assert [one["attempt"] for one in kept] == [None] * len(claimed["tests"])
    assert (await api.state(execution_id))["results"]["total"] == 0


async def test_a_cancelled_execution_stops_its_runners(api: Api) -> None:
    execution_id = await planned(api, shards=1)
    claimed = await claim(api, execution_id)
    await api.delete(f"/api/executions/{execution_id}", {"reason": "not needed"})

    lease = f"/api/executions/{execution_id}/claims/{claimed['leaseId']}"
    beat = (await api.post(f"{lease}/heartbeat", {"runnerId": "a"})).json

    assert (beat["order"], beat["reason"]) == ("cancel", "not needed")
    assert (await claim(api, execution_id))["state"] == "cancelled"
    late = (await stream(api, execution_id, claimed, results(claimed["tests"]))).json
    assert (late["order"], late["late"]) == ("cancel", len(claimed["tests"]))


async def test_planned_tests_are_listed_with_what_became_of_them(api: Api) -> None:
    execution_id = await planned(api, "static")
    claimed = await claim(api, execution_id, shardId="1")
    await stream(api, execution_id, claimed, results(claimed["tests"][:1]))
    path = f"/api/executions/{execution_id}/plan/tests"

    first = (await api.get(f"{path}?limit=5")).json
    rest = (await api.get(f"{path}?limit=1000&cursor={first['nextCursor']}")).json
    states = [one["state"] for one in first["tests"] + rest["tests"]]

    assert (len(first["tests"]), len(rest["tests"]), rest["nextCursor"]) == (5, 7, None)
    assert states.count("reported") == 1
    assert states.count("claimed") == len(claimed["tests"]) - 1
    assert states.count("waiting") == 12 - len(claimed["tests"])
    waiting = (await api.get(f"{path}?state=waiting&shardId=1")).json["tests"]
    assert waiting == []


async def test_only_what_failed_or_is_missing_is_planned_again(api: Api) -> None:
    former = await planned(api, "static", shards=1)
    claimed = await claim(api, former)
    await stream(api, former, claimed, [*results(claimed["tests"][:1], "failed"), *results(claimed["tests"][1:11])])
    await close(api, former, "1")
    assert (await api.state(former))["reasonCode"] == "incomplete"

    execution_id = await planned(api, rerunOf=former, shards=1)

    listed = (await api.get(f"/api/executions/{execution_id}/plan/tests")).json["tests"]
    wanted = [claimed["tests"][0], claimed["tests"][11]]
    assert sorted((one["file"], one["title"]) for one in listed) == sorted(
        (one["file"], one["title"]) for one in wanted
    )


async def test_who_plans_a_rerun_later_is_not_told_of_what_it_leaves_out(newcomer: Api) -> None:
    former = await newcomer.created(1)
    await newcomer.submit(former, "1", tests=[*results(TESTS[:2], "failed"), *results(TESTS[2:])])
    execution_id = await planned(newcomer, rerunOf=former)

    again = await plan(newcomer, execution_id, mode="queue", tests=TESTS, rerunOf=former)
    less = await plan(newcomer, execution_id, mode="queue", tests=TESTS[1:])

    assert (again.status, again.json["tests"], again.json["differs"]) == (200, 2, None)
    assert less.json["differs"] == {
        "missing": 1,
        "missingTests": [TESTS[0]],
        "unexpected": 0,
        "unexpectedTests": [],
    }


async def test_results_sent_at_once_count_for_the_plan_too(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    await api.submit(execution_id, "1", tests=results(TESTS[:10]))

    state = await api.state(execution_id)

    assert (state["status"], state["reasonCode"]) == ("completed", "incomplete")
    assert (state["plan"]["reported"], state["plan"]["missing"]) == (10, 2)


async def test_of_each_shard_it_is_told_what_it_has_of_the_plan(api: Api) -> None:
    execution_id = await planned(api, "static")
    first, second = [await claim(api, execution_id, f"runner {shard}", shardId=shard) for shard in "12"]
    extra = {"file": "tests/test_new.py", "title": "test_new"}
    await stream(api, execution_id, first, results([*first["tests"][1:], extra]))
    await stream(api, execution_id, second, results(second["tests"]))
    one = {"planned": len(first["tests"]), "reported": len(first["tests"]) - 1, "missing": 0, "unexpected": 1}
    other = {"planned": len(second["tests"]), "reported": len(second["tests"]), "missing": 0, "unexpected": 0}

    running = await api.state(execution_id)
    for shard in ("1", "2"):
        await close(api, execution_id, shard, runnerId=f"runner {shard}")
    ended = await api.state(execution_id)

    assert [shard["plan"] for shard in running["shardResults"]] == [
        one | {"runnerId": "runner 1"},
        other | {"runnerId": "runner 2"},
    ]
    one["missing"] = 1
    assert [shard["plan"] for shard in ended["shardResults"]] == [one | {"runnerId": None}, other | {"runnerId": None}]
    log = (await api.get(f"/api/executions/{execution_id}/events")).json["events"]
    assert [event["data"]["shardPlan"] for event in log if event["event"] == "shard.completed"] == [one, other]
    [completed] = [event["data"] for event in log if event["event"] == "execution.completed"]
    assert [shard["plan"] for shard in completed["shardResults"]] == [one, other]
    assert (completed["plan"]["missing"], completed["plan"]["unexpected"]) == (1, 1)


async def test_tests_that_come_with_the_end_of_a_stream_are_added_to_it(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    claimed = await claim(api, execution_id)
    first, *others = results(claimed["tests"])
    await stream(api, execution_id, claimed, [{**first, "status": "failed"}])

    answer = await close(api, execution_id, "1", tests=[first, *others], runnerId="a")

    assert answer.status == 201
    state = await api.state(execution_id)
    assert (state["status"], state["reasonCode"]) == ("completed", None)
    assert (state["results"]["total"], state["results"]["failed"]) == (12, 1)
    listed = (await api.get(f"/api/executions/{execution_id}/tests?limit=100")).json["tests"]
    assert [(one["file"], one["title"], one["status"]) for one in listed] == [
        (one["file"], one["title"], "failed" if one is first else "passed") for one in [first, *others]
    ]


@pytest.mark.parametrize("status", ["completed", "error"])
async def test_a_runner_that_lost_its_shard_ends_it_no_more_and_its_results_are_kept_as_late(
    api: Api, status: str
) -> None:
    execution_id = await planned(api, "static", shards=1)
    lost = await claim(api, execution_id, "dead")
    handed_back = await api.delete(f"/api/executions/{execution_id}/claims/{lost['leaseId']}?runnerId=dead")
    assert (handed_back.json["returned"], handed_back.json["others"]) == (12, 0)
    claimed = await claim(api, execution_id, "heir")

    ended = await close(api, execution_id, "1", status=status, runnerId="dead")
    late = await close(api, execution_id, "1", tests=results(TESTS[:2]), runnerId="dead")

    assert (ended.status, late.status) == (201, 201)
    assert ((await api.state(execution_id))["status"], (await api.state(execution_id))["results"]["total"]) == (
        "running",
        0,
    )
    kept = (await api.get(f"/api/executions/{execution_id}/tests?attempts=all")).json["tests"]
    assert [one["attempt"] for one in kept] == [None, None]
    await stream(api, execution_id, claimed, results(claimed["tests"]))
    await close(api, execution_id, "1", runnerId="heir")
    state = await api.state(execution_id)
    assert (state["status"], state["reasonCode"], state["results"]["total"]) == ("completed", None, 12)


async def test_the_log_tells_of_plan_and_leases(api: Api) -> None:
    execution_id = await planned(api, "static", shards=1)
    claimed = await claim(api, execution_id)
    await stream(api, execution_id, claimed, results(claimed["tests"]))
    await api.delete(f"/api/executions/{execution_id}/claims/{claimed['leaseId']}?runnerId=a")

    log = (await api.get(f"/api/executions/{execution_id}/events")).json["events"]

    assert [one["event"] for one in log] == [
        "execution.created",
        "plan.created",
        "execution.started",
        "shard.started",
        "shard.claimed",
        "shard.progress",
        "shard.released",
        "shard.completed",
        "execution.completed",
    ]
    told = {one["event"]: one["data"] for one in log}
    assert (told["shard.claimed"]["runnerId"], told["shard.claimed"]["tests"]) == ("a", 12)
    assert told["shard.progress"]["results"]["total"] == 12
    assert (told["shard.released"]["reason"], told["shard.released"]["returned"]) == ("handed_back", 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mode": "queue", "tests": []}, "tests"),
        ({"mode": "fast", "tests": TESTS}, "mode"),
        ({"mode": "queue", "tests": [{"file": "a"}]}, "tests[0].title"),
        ({"mode": "queue", "tests": [TESTS[0], TESTS[0]]}, "tests[1]"),
        ({"mode": "queue", "tests": TESTS, "sizes": {"a": -1}}, "sizes.a"),
        ({"mode": "queue", "tests": TESTS, "order": "random"}, "order"),
        ({"mode": "queue", "tests": TESTS, "rerunOf": "exec_none"}, "rerunOf"),
    ],
)
async def test_a_wrong_plan_names_the_field(api: Api, body: Any, field: str) -> None:
    execution_id = await api.created()

    answer = await plan(api, execution_id, **body)

    assert (answer.status, list(answer.fields)) == (422, [field])
    assert (await api.get(f"/api/executions/{execution_id}/plan")).status == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"runnerId": ""}, "runnerId"),
        ({"runnerId": "a", "shardId": "3"}, "shardId"),
        ({"runnerId": "a", "done": "7"}, "done"),
    ],
)
async def test_a_wrong_claim_names_the_field(api: Api, body: Any, field: str) -> None:
    execution_id = await planned(api)

    answer = await api.post(f"/api/executions/{execution_id}/claims", body)

    assert (answer.status, list(answer.fields)) == (422, [field])


async def test_nothing_is_claimed_or_streamed_without_a_plan_or_by_a_stranger(api: Api, stranger: Api) -> None:
    without, execution_id = await api.created(), await planned(api)
    claimed = {"leaseId": "lease_1", "runnerId": "a", "shardId": "1"}

    assert (await api.post(f"/api/executions/{without}/claims", {"runnerId": "a"})).status == 409
    assert (await stream(api, without, claimed, results(TESTS))).status == 409
    for one in (stranger, api):
        unknown = execution_id if one is stranger else "exec_none"
        assert (await plan(one, unknown, mode="queue", tests=TESTS)).status == 404
        assert (await one.post(f"/api/executions/{unknown}/claims", {"runnerId": "a"})).status == 404
        assert (await one.get(f"/api/executions/{unknown}/plan/tests")).status == 404
    assert (await stream(api, execution_id, {**claimed, "leaseId": "1"}, results(TESTS))).status == 422
    assert (await stream(api, execution_id, {**claimed, "shardId": "9"}, results(TESTS))).status == 422
    assert (await api.post(f"/api/executions/{execution_id}/claims/x/heartbeat", {"runnerId": "a"})).status == 404


async def test_a_plan_knows_how_long_tests_took_and_which_are_in_quarantine(newcomer: Api) -> None:
    former = await newcomer.created(shards=1)
    timed = [{**one, "duration": 1000 * (number + 1)} for number, one in enumerate(results(TESTS))]
    await newcomer.submit(former, "1", tests=timed)

    async def is_known() -> bool:
        listed = (await newcomer.get("/api/tests?limit=100")).json["tests"]
        return len(listed) == len(TESTS)

    await eventually(is_known)
    listed = (await newcomer.get("/api/tests?limit=100")).json["tests"]
    quarantine = {"owner": "ann", "reason": "flaky", "expiresAt": "2199-01-01T00:00:00Z", "exitStreak": 5}
    held = next(one for one in listed if one["file"] == "tests/test_3.py" and one["title"] == "test_2")
    answer = await newcomer.send("PUT", f"/api/tests/{held['testId']}/quarantine", quarantine)
    assert answer.status in {200, 201}, answer.raw

    execution_id = await planned(newcomer, "static", shards=1)

    shown = (await newcomer.get(f"/api/executions/{execution_id}/plan")).json
    assert (shown["knownTests"], shown["expectedDuration"]) == (12, 78_000)
    later = (await plan(newcomer, execution_id, mode="static", tests=TESTS)).json
    held_by_name = {"file": "tests/test_3.py", "title": "test_2"}
    assert shown["quarantined"] == later["quarantined"] == [held_by_name]
    claimed = await claim(newcomer, execution_id)
    assert [one["title"] for one in claimed["tests"] if one.get("quarantined")] == ["test_2"]
    assert {one["expectedDuration"] for one in claimed["tests"]} == {1000 * number for number in range(1, 13)}
