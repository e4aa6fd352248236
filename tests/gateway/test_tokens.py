"""API tokens: made, listed, revoked, rotated."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.identity.roles import Role
from tests.gateway.conftest import Api, TokenMaker
from tests.patience import eventually


@pytest.mark.contract("X-003")
async def test_a_token_is_shown_once_and_works_until_it_is_revoked(api: Api) -> None:
    staging = await api.post("/api/tokens", {"name": "staging"})
    production = await api.post("/api/tokens", {"name": "production", "role": "viewer"})

    assert staging.status == production.status == 201
    token = staging.json["token"]
    assert re.fullmatch(r"tms_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", token)
    assert staging.json["role"] == "qa_lead"
    assert (await api.with_token(token).get("/api/executions")).status == 200

    listed = (await api.get("/api/tokens")).json["tokens"]
    mine = next(one for one in listed if one["id"] == staging.json["id"])
    assert mine == {
        "id": staging.json["id"],
        "name": "staging",
        "role": "qa_lead",
        "prefix": token[:12],
        "createdAt": staging.json["createdAt"],
        "lastUsedAt": mine["lastUsedAt"],
        "expiresAt": None,
        "revokedAt": None,
    }
    assert mine["lastUsedAt"] >= mine["createdAt"]
    assert token not in str(listed)

    revoked = await api.delete(f"/api/tokens/{staging.json['id']}")
    assert (revoked.status, revoked.json["id"]) == (200, staging.json["id"])
    assert revoked.json["revokedAt"] is not None
    assert (await api.with_token(token).get("/api/executions")).status == 401
    assert (await api.with_token(production.json["token"]).get("/api/executions")).status == 200


@pytest.mark.contract("X-003")
async def test_a_rotated_token_has_another_secret_at_once(api: Api) -> None:
    first = (await api.post("/api/tokens", {"name": "ci"})).json
    assert (await api.with_token(first["token"]).get("/api/executions")).status == 200

    second = await api.post(f"/api/tokens/{first['id']}/rotate")

    assert second.status == 200
    assert second.json["id"] == first["id"]
    assert (await api.with_token(first["token"]).get("/api/executions")).status == 401
    assert (await api.with_token(second.json["token"]).get("/api/executions")).status == 200
    await api.delete(f"/api/tokens/{first['id']}")
    assert (await api.post(f"/api/tokens/{first['id']}/rotate")).status == 409


async def test_a_token_ends_when_it_was_said_to(api: Api) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    made = await api.post("/api/tokens", {"name": "short", "expiresAt": soon.isoformat()})
    short = api.with_token(made.json["token"])
    assert (await short.get("/api/executions")).status == 200

    async def has_ended() -> bool:
        return (await short.get("/api/executions")).status == 401

    await eventually(has_ended)
    assert datetime.now(UTC) >= soon


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"name"}),
        ({"name": "", "role": "king"}, {"name", "role"}),
        ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt"}),
        ({"name": "a\0"}, {"name"}),
    ],
)
async def test_wrong_tokens_are_refused_by_name(api: Api, body: Any, wrong: set[str]) -> None:
    answer = await api.post("/api/tokens", body)

    assert answer.status == 422
    assert set(answer.fields) == wrong


async def test_nobody_hands_out_or_takes_over_more_than_it_has(api: Api, token_for: TokenMaker) -> None:
    above = api.with_token(await token_for(Role.ORG_ADMIN))
    higher = (await above.post("/api/tokens", {"name": "higher", "role": "org_admin"})).json

    assert (await api.post("/api/tokens", {"name": "x", "role": "super_admin"})).status == 403
    assert (await api.post(f"/api/tokens/{higher['id']}/rotate")).status == 403
    assert (await api.delete(f"/api/tokens/{higher['id']}")).status == 403
    assert (await above.delete(f"/api/tokens/{higher['id']}")).status == 200


async def test_tokens_of_another_tenant_are_invisible(api: Api, stranger: Api) -> None:
    token_id = (await api.post("/api/tokens", {"name": "mine"})).json["id"]

    assert token_id not in str((await stranger.get("/api/tokens")).json)
    for method, path in (("DELETE", ""), ("POST", "/rotate")):
        assert (await stranger.send(method, f"/api/tokens/{token_id}{path}")).status == 404
    assert (await api.delete("/api/tokens/tok_unknown")).status == 404
