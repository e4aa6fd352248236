"""Jobs over the API: who registers them, what they may be like, and what is shown of them."""

from typing import Any

import pytest

from orchestrator.identity.roles import Role
from storage import postgres
from tests.gateway.conftest import CREATION, Api, TokenMaker
from tests.gateway.jobs import job, registered
from tests.running import RunningServer

JOB = job("pass")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.VALIDATOR, Role.QA_LEAD])
async def test_only_administrators_register_jobs(api: Api, token_for: TokenMaker, role: Role) -> None:
    someone = api.with_token(await token_for(role))
    sent = [
        await someone.send("PUT", "/api/jobs/theirs", JOB),
        await someone.delete("/api/jobs/theirs"),
        await someone.post("/api/job-archives", raw=b"x"),
    ]
    assert [answer.status for answer in sent] == [403] * 3
    assert "jobs:manage" in sent[0].error["message"]


async def test_who_may_run_executions_may_run_registered_jobs_and_who_reads_may_not(
    api: Api, token_for: TokenMaker
) -> None:
    await api.send("PUT", "/api/jobs/for-all", JOB)
    body = CREATION | {"provider": "managed", "job": {"name": "for-all"}, "configuration": {"shards": 1}}
    statuses = [
        (await api.with_token(await token_for(role)).post("/api/executions", body)).status
        for role in (Role.QA_LEAD, Role.VIEWER)
    ]
    assert statuses == [201, 403]


async def test_a_job_is_shown_without_the_values_of_its_variables(newcomer: Api, server: RunningServer) -> None:
    secret = "a-very-secret-value"
    made = await registered(newcomer, "shop", JOB | {"environment": {"TOKEN": secret, "URL": "x"}, "timeout": 1000})
    assert (made["version"], made["environment"], made["timeout"]) == (1, ["TOKEN", "URL"], 1000)
    answers = [
        await newcomer.get("/api/jobs/shop"),
        await newcomer.get("/api/jobs"),
        await newcomer.send("PUT", "/api/jobs/shop", JOB | {"environment": {"TOKEN": None}}),
    ]
    assert answers[0].json == made
    assert answers[1].json == {"jobs": [made], "nextCursor": None}
    assert not any(secret.encode() in answer.raw for answer in answers)
    assert secret not in server.log
    async with postgres.connected(server.database_url) as connection:
        rows = await connection.fetch("SELECT v::text AS row FROM job_versions AS v")
    assert not any(secret in row["row"] or secret.encode().hex() in row["row"] for row in rows)


async def test_a_change_is_another_version_and_the_same_again_is_none(newcomer: Api) -> None:
    await registered(newcomer, "shop", JOB | {"environment": {"A": "1", "B": "2"}})

    async def version(**fields: Any) -> int:
        answer = await newcomer.send("PUT", "/api/jobs/shop", JOB | fields)
        assert answer.status == 200, answer.raw
        return int(answer.json["version"])

    assert await version(environment={"B": "2", "A": "1"}) == 1
    assert await version(environment={"A": None, "B": None}) == 1
    assert await version(environment={"A": "other", "B": None}) == 2
    assert await version(environment={"A": "other", "B": "2"}) == 2
    assert await version() == 3


async def test_a_deleted_job_runs_no_more_and_its_name_is_free(newcomer: Api) -> None:
    await registered(newcomer, "shop", JOB)
    assert (await newcomer.delete("/api/jobs/shop")).status == 200
    assert (await newcomer.delete("/api/jobs/shop")).status == 404
    assert (await newcomer.get("/api/jobs/shop")).status == 404
    answer = await newcomer.post("/api/executions", CREATION | {"provider": "managed", "job": {"name": "shop"}})
    assert (answer.status, list(answer.fields)) == (422, ["job.name"])
    assert (await registered(newcomer, "shop", JOB))["version"] == 1


async def test_jobs_are_listed_in_pages_by_name(newcomer: Api) -> None:
    for name in ("c", "a", "b"):
        await registered(newcomer, name, JOB)
    first = (await newcomer.get("/api/jobs", params={"limit": "2"})).json
    rest = (await newcomer.get("/api/jobs", params={"limit": "2", "cursor": first["nextCursor"]})).json
    assert [one["name"] for one in first["jobs"] + rest["jobs"]] == ["a", "b", "c"]
    assert rest["nextCursor"] is None


async def test_tenants_do_not_see_each_others_jobs(newcomer: Api, stranger: Api) -> None:
    await registered(newcomer, "mine", JOB)
    assert (await stranger.get("/api/jobs/mine")).status == 404
    assert (await stranger.get("/api/jobs")).json["jobs"] == []
    await registered(stranger, "mine", job("print('theirs')"))
    assert (await newcomer.get("/api/jobs/mine")).json["command"] == JOB["command"]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("command", {"command": []}),
        ("command[1]", {"command": ["run", "{suite}"]}),
        ("parameters.suite.pattern", {"parameters": {"suite": {"pattern": "(a+)+"}}}),
        ("environment.PATH", {"environment": {"PATH": None}}),
        ("environment.TMS_URL", {"environment": {"TMS_URL": "x"}}),
        ("resources.cpus", {"resources": {"cpus": -1}}),
        ("source.folder", {"source": {"folder": "/etc"}}),
        ("source.archive", {"source": {"archive": "0" * 64}}),
        ("timeout", {"timeout": 0}),
    ],
)
async def test_what_is_wrong_with_a_job_is_named(newcomer: Api, field: str, change: dict[str, Any]) -> None:
    answer = await newcomer.send("PUT", "/api/jobs/wrong", JOB | change)
    assert (answer.status, list(answer.fields)) == (422, [field])
    assert (await newcomer.get("/api/jobs/wrong")).status == 404


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("job", {"provider": "managed"}),
        ("job", {"provider": "other", "job": {"name": "shop"}}),
        ("job.name", {"provider": "managed", "job": {"name": "none"}}),
        ("job.parameters.suite", {"provider": "managed", "job": {"name": "shop"}}),
        ("job.parameters.suite", {"provider": "managed", "job": {"name": "shop", "parameters": {"suite": "--all"}}}),
        ("job.parameters.x", {"provider": "managed", "job": {"name": "shop", "parameters": {"suite": "a", "x": "1"}}}),
    ],
)
async def test_what_cannot_be_run_is_named_and_nothing_is_made(
    newcomer: Api, field: str, change: dict[str, Any]
) -> None:
    await registered(newcomer, "shop", job("pass", "{suite}", parameters={"suite": {"pattern": "[a-z-]+"}}))
    answer = await newcomer.post("/api/executions", CREATION | change)
    assert (answer.status, list(answer.fields)) == (422, [field])
    assert (await newcomer.get("/api/executions")).json["executions"] == []


async def test_an_archive_that_is_none_is_refused(newcomer: Api) -> None:
    answer = await newcomer.post("/api/job-archives", raw=b"no archive", headers={"Content-Type": "application/zip"})
    assert (answer.status, answer.error["code"]) == (400, "UNREADABLE_ARCHIVE")
    assert (await newcomer.post("/api/job-archives", raw=b"")).status == 422


async def test_an_execution_with_runners_of_its_own_has_no_job_and_no_output(newcomer: Api) -> None:
    execution_id = await newcomer.created(shards=1)
    for path in (f"/api/executions/{execution_id}/job", f"/logs/{execution_id}/shard-1"):
        assert (await newcomer.get(path)).status == 404
    assert (await newcomer.get(f"/logs/{execution_id}")).json["shards"] == {}
