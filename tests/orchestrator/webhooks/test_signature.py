"""A delivery is signed so that the published libraries of Standard Webhooks verify it."""

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from orchestrator.errors import ValidationFailed
from orchestrator.webhooks import signature

BODY = '{"event":"execution.started","data":{"branch":"größer"}}'.encode()
KEY = b"k" * 32

secrets = st.binary(min_size=24, max_size=64).map(signature.secret_of)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=16, max_size=512).filter(
    lambda text: not text.startswith("whsec_")
)


def headers(keys: list[bytes], at: datetime | None = None) -> dict[str, str]:
    """Headers of an attempt; made now unless a time is given, for the library refuses what is five minutes old."""
    return signature.headers("msg_1", "execution.started", at or datetime.now(UTC), BODY, keys, "1.2.3")


def test_the_published_test_vector() -> None:
    key = signature.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = signature.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [key])
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(secrets, st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**32))
def test_the_published_library_signs_the_same(secret: str, body: str, seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    ours = signature.sign("msg_1", at, body.encode(), [signature.key_of(secret)])
    assert ours == Webhook(secret).sign("msg_1", at, body)


@given(secrets)
def test_the_published_library_verifies_what_a_secret_of_its_own_kind_signed(secret: str) -> None:
    assert Webhook(secret).verify(BODY, headers([signature.key_of(secret)]))["event"] == "execution.started"


@given(texts)
def test_the_published_library_verifies_what_any_other_secret_signed(secret: str) -> None:
    assert Webhook(secret.encode()).verify(BODY, headers([signature.key_of(secret)]))


def test_while_a_former_secret_counts_either_verifies() -> None:
    current, former, foreign = (signature.secret_of(bytes([number]) * 32) for number in (1, 2, 3))
    signed = headers([signature.key_of(current), signature.key_of(former)])
    for secret in (current, former):
        assert Webhook(secret).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(foreign).verify(BODY, signed)


def test_another_body_id_or_time_does_not_verify() -> None:
    webhook = Webhook(KEY)
    signed = headers([KEY])
    later = str(int(signed["webhook-timestamp"]) + 1)
    for body, changed in (
        (BODY + b" ", signed),
        (BODY, {**signed, "webhook-id": "msg_2"}),
        (BODY, {**signed, "webhook-timestamp": later}),
    ):
        with pytest.raises(WebhookVerificationError):
            webhook.verify(body, changed)


def test_all_headers_of_an_attempt_in_lower_case() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=UTC)
    assert headers([KEY, b"former"], at) == {
        "content-type": "application/json",
        "user-agent": "TMS-Webhooks/1.2.3",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp())),
        "webhook-signature": signature.sign("msg_1", at, BODY, [KEY, b"former"]),
        "x-tms-event": "execution.started",
        "x-tms-signature": "sha256=" + hmac.new(KEY, BODY, "sha256").hexdigest(),
    }


def test_each_attempt_is_signed_for_its_own_time() -> None:
    now = datetime.now(UTC)
    first, second = headers([KEY], now), headers([KEY], now + timedelta(seconds=5))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert first["x-tms-signature"] == second["x-tms-signature"]


def test_a_new_secret_has_the_form_that_the_libraries_know() -> None:
    random = bytes(range(signature.SECRET_BYTES))
    secret = signature.secret_of(random)
    assert secret == f"whsec_{b64encode(random).decode()}"
    assert signature.key_of(secret) == random


@given(texts)
def test_any_other_secret_is_its_own_key(text: str) -> None:
    assert signature.key_of(text) == text.encode()


@pytest.mark.parametrize("text", ["not base64!", "AAA", "AAAA_-__", "AA AA", "größe"])
def test_a_secret_that_only_looks_like_base64_is_named(text: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        signature.key_of(f"whsec_{text}")
    assert [detail.field for detail in raised.value.details] == ["secret"]
    assert text not in raised.value.details[0].message
