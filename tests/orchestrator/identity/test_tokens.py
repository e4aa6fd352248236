import re
from hashlib import sha256

import pytest

from orchestrator.errors import Forbidden
from orchestrator.identity import shard_tokens, tokens, webhook_tokens
from orchestrator.identity.model import Principal
from orchestrator.identity.roles import Permission, Role

KEY = b"k" * 32


def test_a_token_can_be_found_where_it_leaked_and_is_kept_as_a_hash() -> None:
    secret = tokens.fresh()

    assert re.fullmatch(r"tms_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", secret.text)
    assert secret.text.startswith(secret.prefix)
    assert secret.digest == sha256(secret.text.encode()).digest()
    assert secret.text != tokens.fresh().text


def test_the_printed_form_of_a_secret_does_not_hold_it() -> None:
    secret = tokens.fresh()

    assert secret.text not in repr(secret)
    assert secret.text not in f"{[secret]}"


def test_a_derived_token_is_the_same_for_the_same_parts_only() -> None:
    derived = tokens.derived(KEY, "tok_1", "key")

    assert derived.text == tokens.derived(KEY, "tok_1", "key").text
    assert derived.text != tokens.derived(KEY, "tok_1", "other").text
    assert derived.text != tokens.derived(KEY, "tok_1key").text
    assert derived.text != tokens.derived(b"j" * 32, "tok_1", "key").text


def test_little_is_shown_of_a_token_that_an_operator_chose() -> None:
    assert tokens.given("0123456789abcdef").prefix == "0123"


@pytest.mark.contract("X-010")
def test_a_webhook_token_belongs_to_one_execution_and_one_key() -> None:
    token = webhook_tokens.token_of(KEY, "exec_1")

    assert re.fullmatch(r"wh_token_[A-Za-z0-9_-]{43}", token)
    assert webhook_tokens.is_valid(KEY, "exec_1", token)
    assert not webhook_tokens.is_valid(KEY, "exec_2", token)
    assert not webhook_tokens.is_valid(b"j" * 32, "exec_1", token)
    assert not webhook_tokens.is_valid(KEY, "exec_1", token[:-1])


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        (Role.VIEWER, {Permission.READ_EXECUTIONS}),
        (Role.VALIDATOR, {Permission.READ_EXECUTIONS}),
        (
            Role.QA_LEAD,
            {Permission.READ_EXECUTIONS, Permission.WRITE_EXECUTIONS, Permission.MANAGE_WEBHOOKS},
        ),
        (Role.ADMIN, set(Permission)),
        (Role.ORG_ADMIN, set(Permission)),
        (Role.SUPER_ADMIN, set(Permission)),
    ],
)
@pytest.mark.contract("X-005")
def test_each_role_may_do_what_it_is_for(role: Role, permissions: set[Permission]) -> None:
    assert {permission for permission in Permission if role.may(permission)} == permissions


def test_roles_rank_in_one_line() -> None:
    ranked = sorted(Role, key=lambda role: sum(role.is_above(other) for other in Role))

    assert ranked == [Role.VIEWER, Role.VALIDATOR, Role.QA_LEAD, Role.ADMIN, Role.ORG_ADMIN, Role.SUPER_ADMIN]
    assert not any(role.is_above(role) for role in Role)


def test_a_lacking_permission_is_named() -> None:
    with pytest.raises(Forbidden, match="executions:write"):
        Principal(1, "tok_1", Role.VIEWER).require(Permission.WRITE_EXECUTIONS)


def test_a_runner_has_no_permission_beside_its_own_execution() -> None:
    with pytest.raises(Forbidden):
        Principal(1, "exec_1", None).require(Permission.READ_EXECUTIONS)


def test_a_shards_token_belongs_to_one_execution_and_one_key() -> None:
    token = shard_tokens.token_of(KEY, "exec_1")

    assert shard_tokens.execution_of(KEY, token) == "exec_1"
    assert shard_tokens.execution_of(b"j" * 32, token) is None
    assert shard_tokens.execution_of(KEY, token.replace("exec_1", "exec_2")) is None
    assert shard_tokens.execution_of(KEY, tokens.fresh().text) is None


def test_a_shard_reads_and_writes_in_its_own_execution_and_nothing_else() -> None:
    shard = Principal(1, "exec_1", None, "exec_1")

    assert [permission for permission in Permission if _may(shard, permission)] == [
        Permission.READ_EXECUTIONS,
        Permission.WRITE_EXECUTIONS,
    ]
    shard.require_execution("exec_1")
    for other in ("exec_2", None):
        with pytest.raises(Forbidden):
            shard.require_execution(other)


def _may(principal: Principal, permission: Permission) -> bool:
    try:
        principal.require(permission)
    except Forbidden:
        return False
    return True
