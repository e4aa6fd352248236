"""Webhooks: registered, listed, changed and deleted, as the documents have it."""

import re
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.identity.roles import Role
from tests.gateway.conftest import Answer, Api, TokenMaker

DOCUMENTED: dict[str, Any] = {
    "url": "https://your-ci-system.com/webhooks/tms",
    "events": ["execution.started", "shard.completed", "execution.completed"],
    "secret": "webhook_secret_key",
    "retryPolicy": {"maxRetries": 3, "retryDelay": 5000, "exponentialBackoff": True},
    "filters": {"testSuites": ["smoke", "regression"], "environments": ["staging", "production"]},
}
PLAIN: dict[str, Any] = {"url": "https://ci.example.com/hook", "events": ["execution.completed"]}


async def registered(api: Api, **fields: Any) -> str:
    answer = await api.post("/api/webhooks", PLAIN | fields)
    assert answer.status == 201, answer.raw
    return str(answer.json["webhookId"])


async def listed(api: Api, **params: str) -> list[str]:
    return [webhook["webhookId"] for webhook in (await api.get("/api/webhooks", params=params)).json["webhooks"]]


@pytest.mark.contract("X-031", "X-081")
async def test_a_registration_answers_what_is_documented(newcomer: Api) -> None:
    answer = await newcomer.post("/api/webhooks", DOCUMENTED)

    assert answer.status == 201
    assert answer.json == {
        "webhookId": answer.json["webhookId"],
        "url": DOCUMENTED["url"],
        "events": DOCUMENTED["events"],
        "status": "active",
        "createdAt": answer.json["createdAt"],
    }
    assert answer.json["webhookId"].startswith("wh_")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.json["createdAt"])


@pytest.mark.contract("X-036")
async def test_url_and_events_are_enough(newcomer: Api) -> None:
    answer = await newcomer.post("/api/webhooks", PLAIN | {"retryPolicy": None, "filters": None})

    assert answer.status == 201
    assert set(answer.json) == {"webhookId", "url", "events", "status", "createdAt", "secret"}
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", answer.json["secret"])
    shown = await newcomer.get(f"/api/webhooks/{answer.json['webhookId']}")
    assert shown.json == {
        "webhookId": answer.json["webhookId"],
        "url": PLAIN["url"],
        "events": PLAIN["events"],
        "status": "active",
        "createdAt": answer.json["createdAt"],
        "updatedAt": answer.json["createdAt"],
        "filters": {"testSuites": [], "environments": [], "branches": [], "statuses": [], "providers": []},
        "retryPolicy": {"maxRetries": 3, "retryDelay": 5000, "exponentialBackoff": True, "schedule": None},
        "statusReason": None,
        "failingSince": None,
        "lastValidatedAt": None,
        "formerSecretUntil": None,
    }


async def test_everything_that_was_asked_for_is_shown(newcomer: Api) -> None:
    filters = {
        "testSuites": ["smoke"],
        "environments": ["dev"],
        "branches": ["main", "größer/✓"],
        "statuses": ["failed", "error"],
        "providers": ["github-actions"],
    }
    webhook_id = await registered(
        newcomer,
        events=["shard.completed", "execution.failed", "shard.completed"],
        filters=filters | {"branches": ["main", "größer/✓", "main"]},
        retryPolicy={"schedule": [0, 1.5, 3600]},
        active=False,
    )

    shown = (await newcomer.get(f"/api/webhooks/{webhook_id}")).json

    assert shown["events"] == ["shard.completed", "execution.failed"]
    assert shown["filters"] == filters
    assert shown["retryPolicy"]["schedule"] == [0, 1.5, 3600]
    assert shown["status"] == "inactive"


@pytest.mark.parametrize(
    "event", ["execution.progress", "test_case.created", "milestone.completed", "webhook.disabled"]
)
async def test_all_vocabularies_can_be_subscribed_to(newcomer: Api, event: str) -> None:
    assert (await newcomer.post("/api/webhooks", PLAIN | {"events": [event]})).json["events"] == [event]


@pytest.mark.contract("X-032", "X-037", "X-079", "X-095")
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"events": []}, {"events"}),
        ({"events": ["execution.paused"]}, {"events[0]"}),
        ({"events": ["execution.started", "execution.created", 5]}, {"events[1]", "events[2]"}),
        ({"events": "execution.started"}, {"events"}),
        ({"events": None, "url": None}, {"events", "url"}),
        ({"url": "http://example.com/x"}, {"url"}),
        ({"url": "https://169.254.169.254/"}, {"url"}),
        ({"url": "https://10.0.0.1/hook"}, {"url"}),
        ({"url": "https://[::ffff:10.0.0.1]/hook"}, {"url"}),
        ({"url": "https://0x0a000001/hook"}, {"url"}),
        ({"url": "https://user:word@example.com/"}, {"url"}),
        ({"url": "ftp://example.com/"}, {"url"}),
        ({"url": "example.com"}, {"url"}),
        ({"url": "https://example.com/#part"}, {"url"}),
        ({"url": f"https://example.com/{'x' * 2048}"}, {"url"}),
        ({"secret": "short"}, {"secret"}),
        ({"secret": "x" * 513}, {"secret"}),
        ({"secret": "whsec_not base64 at all"}, {"secret"}),
        ({"secret": "whsec_c2hvcnQgYXMgYQ=="}, {"secret"}),
        ({"secret": "sixteen characters\0"}, {"secret"}),
        ({"retryPolicy": {"maxRetries": -1}}, {"retryPolicy.maxRetries"}),
        ({"retryPolicy": {"maxRetries": 101, "retryDelay": -5}}, {"retryPolicy.maxRetries", "retryPolicy.retryDelay"}),
        ({"retryPolicy": {"retryDelay": 10**15}}, {"retryPolicy.retryDelay"}),
        ({"retryPolicy": {"exponentialBackoff": "yes"}}, {"retryPolicy.exponentialBackoff"}),
        ({"retryPolicy": {"schedule": "often"}}, {"retryPolicy.schedule"}),
        ({"retryPolicy": {"schedule": [5, -1, "10"]}}, {"retryPolicy.schedule[1]", "retryPolicy.schedule[2]"}),
        ({"retryPolicy": {"schedule": [1] * 101}}, {"retryPolicy.schedule"}),
        ({"retryPolicy": {"retries": 3}}, {"retryPolicy"}),
        ({"retryPolicy": []}, {"retryPolicy"}),
        ({"filters": {"testSuites": ["smoke", "x"]}}, {"filters.testSuites[1]"}),
        ({"filters": {"environments": "dev"}}, {"filters.environments"}),
        ({"filters": {"testSuite": ["smoke"]}}, {"filters"}),
        ({"filters": {"statuses": ["created"], "branches": [""]}}, {"filters.statuses[0]", "filters.branches[0]"}),
        ({"active": "no"}, {"active"}),
        ({"filter": {}}, {"body"}),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    newcomer: Api, fields: dict[str, Any], wrong: set[str]
) -> None:
    webhook_id = await registered(newcomer, events=["issue.created"])

    refused = await newcomer.post("/api/webhooks", PLAIN | fields)

    assert (refused.status, refused.error["code"]) == (422, "VALIDATION_ERROR")
    assert set(refused.fields) == wrong
    assert await listed(newcomer) == [webhook_id]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"events": []}, "events"),
        ({"filters": {"testSuites": ["x"]}}, "filters.testSuites[0]"),
        ({"retryPolicy": {"maxRetries": -1}}, "retryPolicy.maxRetries"),
        ({"status": "disabled"}, "status"),
        ({"status": "active", "active": False}, "active"),
        ({"secret": "only a rotation changes it"}, "body"),
    ],
)
async def test_a_wrong_change_is_named_and_changes_nothing(newcomer: Api, fields: dict[str, Any], wrong: str) -> None:
    path = f"/api/webhooks/{await registered(newcomer)}"
    before = await newcomer.get(path)

    refused = await newcomer.patch(path, {"events": ["shard.started"]} | fields)

    assert (refused.status, list(refused.fields)) == (422, [wrong])
    assert (await newcomer.get(path)).json == before.json


@pytest.mark.contract("X-038")
async def test_the_same_url_and_events_are_registered_once(newcomer: Api, stranger: Api) -> None:
    body = PLAIN | {"events": ["execution.started", "shard.started"]}
    webhook_id = await registered(newcomer, **body)

    for events in (body["events"], body["events"][::-1], [*body["events"], "shard.started"]):
        again = await newcomer.post("/api/webhooks", body | {"events": events, "secret": "another secret of mine"})
        assert (again.status, again.error["code"], again.error["details"]) == (409, "CONFLICT", [])
        assert webhook_id in again.error["message"]
    other = await registered(newcomer, url="https://ci.example.com/other", events=body["events"])
    conflict = await newcomer.patch(f"/api/webhooks/{other}", {"url": PLAIN["url"]})
    assert (conflict.status, conflict.error["code"]) == (409, "CONFLICT")
    await registered(stranger, **body)
    await newcomer.delete(f"/api/webhooks/{webhook_id}")
    assert await registered(newcomer, **body) != webhook_id


@pytest.mark.contract("X-042", "X-025")
async def test_a_tenant_lists_and_deletes_its_own(newcomer: Api, stranger: Api) -> None:
    mine, theirs = await registered(newcomer), await registered(stranger)

    assert (await listed(newcomer), await listed(stranger)) == ([mine], [theirs])
    deleted = await newcomer.delete(f"/api/webhooks/{mine}")
    assert deleted.status == 200
    assert deleted.json == {"webhookId": mine, "status": "deleted", "deletedAt": deleted.json["deletedAt"]}
    assert await listed(newcomer) == []
    assert (await newcomer.get(f"/api/webhooks/{mine}")).status == 404
    assert (await newcomer.delete(f"/api/webhooks/{mine}")).status == 404
    assert await listed(stranger) == [theirs]


@pytest.mark.contract("X-041", "X-083")
async def test_unknown_and_foreign_ones_are_not_found(newcomer: Api, stranger: Api) -> None:
    foreign = await registered(stranger)
    for webhook_id in ("wh_000", foreign, "executions", "%00", "x" * 65):
        path = f"/api/webhooks/{webhook_id}"
        for method, place, body in (
            ("GET", path, None),
            ("PATCH", path, {"status": "inactive"}),
            ("DELETE", path, None),
            ("POST", f"{path}/validate", None),
            ("POST", f"{path}/rotate-secret", None),
            ("POST", f"{path}/sample", {"event": "execution.started"}),
            ("POST", f"{path}/recover", {"since": "2025-08-04T00:00:00Z"}),
            ("GET", f"{path}/deliveries", None),
            ("GET", f"{path}/deliveries/dlv_1", None),
            ("POST", f"{path}/deliveries/dlv_1/redeliver", None),
        ):
            # Under the name of the route for runners, this one wants another token.
            expected = 401 if (webhook_id, method) == ("executions", "POST") and place.count("/") == 4 else 404
            answer = await newcomer.send(method, place, body)
            assert (answer.status, answer.error["details"]) == (expected, []), place
    assert await listed(stranger) == [foreign]
    execution_id = await stranger.created()
    for unknown in ("exec_1", execution_id):
        assert (await newcomer.get(f"/api/executions/{unknown}/deliveries")).status == 404
    assert (await newcomer.get(f"/api/webhooks/{await registered(newcomer)}/deliveries/dlv_1")).status == 404


async def test_webhooks_are_filtered_and_paged(newcomer: Api) -> None:
    ids = [await registered(newcomer, url=f"https://ci.example.com/{number}") for number in range(5)]
    paused = await registered(newcomer, events=["shard.started"], active=False)

    assert await listed(newcomer) == [paused, *reversed(ids)]
    assert await listed(newcomer, status="inactive") == [paused]
    assert await listed(newcomer, event="shard.started") == [paused]
    assert await listed(newcomer, url="https://ci.example.com/3") == [ids[3]]
    assert await listed(newcomer, url="https://ci.example.com/3", status="inactive") == []
    seen: list[str] = []
    params = {"limit": "4"}
    while True:
        page = (await newcomer.get("/api/webhooks", params=params)).json
        seen += [webhook["webhookId"] for webhook in page["webhooks"]]
        if page["nextCursor"] is None:
            break
        params = {"limit": "4", "cursor": page["nextCursor"]}
    assert seen == [paused, *reversed(ids)]
    for wrong in ({"status": "deleted"}, {"event": "x"}, {"limit": "0"}, {"cursor": "x"}):
        assert list((await newcomer.get("/api/webhooks", params=wrong)).fields) == list(wrong)


async def test_a_webhook_is_changed_in_parts(newcomer: Api) -> None:
    webhook_id = await registered(newcomer, filters={"branches": ["main"]}, retryPolicy={"maxRetries": 1})
    path = f"/api/webhooks/{webhook_id}"
    before = (await newcomer.get(path)).json

    assert (await newcomer.patch(path, {})).json == before | {"updatedAt": (await newcomer.get(path)).json["updatedAt"]}
    changed = await newcomer.patch(path, {"url": "https://Other.example.com", "events": ["shard.started"]})
    assert (changed.status, changed.json["url"]) == (200, "https://other.example.com")
    assert (changed.json["events"], changed.json["filters"]) == (["shard.started"], before["filters"])
    assert changed.json["updatedAt"] > before["updatedAt"]
    changed = await newcomer.patch(path, {"filters": {}, "retryPolicy": {"schedule": "standard"}})
    assert changed.json["filters"]["branches"] == []
    assert changed.json["retryPolicy"]["schedule"] == "standard"
    assert (await newcomer.patch(path, {"retryPolicy": {}})).json["retryPolicy"]["maxRetries"] == 3
    assert (await newcomer.get(path)).json["createdAt"] == before["createdAt"]


async def test_a_webhook_is_paused_and_resumed(newcomer: Api) -> None:
    path = f"/api/webhooks/{await registered(newcomer)}"

    for change, status in (
        ({"status": "inactive"}, "inactive"),
        ({"active": True}, "active"),
        ({"active": False}, "inactive"),
        ({"status": "active", "active": True}, "active"),
    ):
        assert (await newcomer.patch(path, change)).json["status"] == status


async def test_nothing_is_queued_for_a_webhook_that_is_paused(newcomer: Api) -> None:
    path = f"/api/webhooks/{await registered(newcomer, active=False)}"

    for place, body in (
        ("sample", {"event": "execution.started"}),
        ("recover", {"since": "2025-08-04T00:00:00Z"}),
        ("deliveries/dlv_1/redeliver", None),
    ):
        answer = await newcomer.post(f"{path}/{place}", body)
        assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert (await newcomer.get(f"{path}/deliveries")).json == {"deliveries": [], "nextCursor": None}


@pytest.mark.contract("X-005", "X-094")
async def test_secrets_and_urls_are_for_those_who_manage_webhooks(newcomer: Api, token_for: TokenMaker) -> None:
    lead, viewer = [newcomer.with_token(await token_for(role)) for role in (Role.QA_LEAD, Role.VIEWER)]

    assert (await lead.get("/api/webhooks")).status == 200
    for method, path in (("GET", "/api/webhooks"), ("POST", "/api/webhooks"), ("GET", "/api/webhooks/wh_1")):
        answer = await viewer.send(method, path, PLAIN if method == "POST" else None)
        assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
        assert "webhooks:manage" in answer.error["message"]


async def test_a_rotation_shows_a_secret_that_it_made_and_no_other(newcomer: Api) -> None:
    path = f"/api/webhooks/{await registered(newcomer)}"

    made = await newcomer.post(f"{path}/rotate-secret")
    given = await newcomer.post(f"{path}/rotate-secret", {"secret": "a secret of my own", "overlapSeconds": 0})

    assert made.status == given.status == 200
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made.json["secret"])
    assert made.json["formerSecretUntil"] is not None
    assert given.json == {"webhookId": path.rpartition("/")[2], "formerSecretUntil": None}
    for body, wrong in (
        ({"secret": "x"}, "secret"),
        ({"secret": "whsec_!"}, "secret"),
        ({"overlapSeconds": -1}, "overlapSeconds"),
        ({"overlapSeconds": 10**9}, "overlapSeconds"),
    ):
        refused = await newcomer.post(f"{path}/rotate-secret", body)
        assert (refused.status, list(refused.fields)) == (422, [wrong])


@pytest.mark.parametrize(
    ("action", "body", "misspelt"),
    [
        ("rotate-secret", {"overlap_seconds": 0}, "overlap_seconds"),
        ("sample", {"event": "shard.started", "executionId": "exec_1"}, "executionId"),
        ("recover", {"since": "2025-08-04T00:00:00Z", "until": "2025-08-05T00:00:00Z"}, "until"),
    ],
)
async def test_a_field_that_is_unknown_is_named(newcomer: Api, action: str, body: Any, misspelt: str) -> None:
    path = f"/api/webhooks/{await registered(newcomer)}"

    refused = await newcomer.post(f"{path}/{action}", body)

    assert (refused.status, list(refused.fields)) == (422, ["body"])
    assert misspelt in refused.fields["body"]
    assert (await newcomer.get(path)).json["formerSecretUntil"] is None
    assert (await newcomer.get(f"{path}/deliveries")).json["deliveries"] == []


@pytest.mark.contract("X-085")
async def test_a_registration_sent_again_is_the_same_webhook(newcomer: Api) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    first = await newcomer.post("/api/webhooks", PLAIN, headers=headers)

    again = await newcomer.post("/api/webhooks", PLAIN, headers=headers)
    reused = await newcomer.post("/api/webhooks", PLAIN | {"events": ["shard.started"]}, headers=headers)

    assert (again.status, again.json) == (201, first.json)
    assert (reused.status, reused.error["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await listed(newcomer) == [first.json["webhookId"]]
    path = f"/api/webhooks/{first.json['webhookId']}"
    rotation = {"Idempotency-Key": uuid4().hex}
    rotated = await newcomer.post(f"{path}/rotate-secret", headers=rotation)
    assert (await newcomer.post(f"{path}/rotate-secret", headers=rotation)).json == rotated.json
    await newcomer.delete(path)
    assert (await newcomer.post("/api/webhooks", PLAIN, headers=headers)).json == first.json
    assert await listed(newcomer) == []


async def test_every_post_wants_a_proper_key(newcomer: Api) -> None:
    path = f"/api/webhooks/{await registered(newcomer)}"

    async def posted(place: str, body: Any = None) -> Answer:
        return await newcomer.post(f"{path}{place}", body, headers={"Idempotency-Key": "a b"})

    for answer in (
        await newcomer.post("/api/webhooks", PLAIN, headers={"Idempotency-Key": "a b"}),
        await posted("/validate"),
        await posted("/rotate-secret"),
        await posted("/sample", {"event": "shard.started"}),
        await posted("/recover", {"since": "2025-08-04T00:00:00Z"}),
        await posted("/deliveries/dlv_1/redeliver"),
    ):
        assert (answer.status, list(answer.fields)) == (422, ["Idempotency-Key"])
