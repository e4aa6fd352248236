"""Secrets are kept so that the database alone does not tell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InternalError
from orchestrator.webhooks.sealing import NONCE_BYTES, Sealer

SEALER = Sealer(b"k" * 32)
NONCE = bytes(NONCE_BYTES)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)


@given(st.text(), st.text(), nonces)
def test_what_was_sealed_can_be_opened(text: str, webhook_id: str, nonce: bytes) -> None:
    text, webhook_id = (part.encode(errors="ignore").decode() for part in (text, webhook_id))
    assert SEALER.open(SEALER.seal(text, webhook_id, nonce), webhook_id) == text


def test_another_process_with_the_same_key_opens_it() -> None:
    assert Sealer(b"k" * 32).open(SEALER.seal(SECRET, "wh_1", NONCE), "wh_1") == SECRET


def test_the_secret_cannot_be_seen_and_every_nonce_gives_another_text() -> None:
    sealed = SEALER.seal(SECRET, "wh_1", NONCE)
    assert SECRET.encode() not in sealed
    assert SEALER.seal(SECRET, "wh_1", b"another one!")[NONCE_BYTES:] != sealed[NONCE_BYTES:]


def test_another_key_opens_nothing_and_the_error_says_what_to_check() -> None:
    with pytest.raises(InternalError, match=r"wh_1.*TMS_SECRET_KEY"):
        Sealer(b"j" * 32).open(SEALER.seal(SECRET, "wh_1", NONCE), "wh_1")


def test_a_secret_cannot_be_moved_to_another_webhook() -> None:
    with pytest.raises(InternalError, match="wh_2"):
        SEALER.open(SEALER.seal(SECRET, "wh_1", NONCE), "wh_2")


@given(st.data())
def test_any_damage_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(SEALER.seal(SECRET, "wh_1", NONCE))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InternalError):
        SEALER.open(bytes(sealed), "wh_1")


@pytest.mark.parametrize("length", range(NONCE_BYTES + 17))
def test_what_is_too_short_is_damaged_too(length: int) -> None:
    with pytest.raises(InternalError):
        SEALER.open(SEALER.seal(SECRET, "wh_1", NONCE)[:length], "wh_1")


def test_a_nonce_of_another_length_is_refused_before_anything_is_lost() -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        SEALER.seal(SECRET, "wh_1", b"short")
