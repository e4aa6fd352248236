"""URLs that work without a header open what they were made for, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.identity import signed_urls

KEY = b"k" * 32
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SOON = int(NOW.timestamp()) + 600


def opens(
    given: str, execution: str = "exec_1", artifact: str = "art_1", expires: int = SOON, now: datetime = NOW
) -> bool:
    return signed_urls.opens_artifact(given, KEY, execution, artifact, expires, now)


def test_a_url_opens_its_artifact_until_it_expires() -> None:
    given = signed_urls.artifact_signature(KEY, "exec_1", "art_1", SOON)
    assert opens(given)
    assert not opens(given, now=NOW + timedelta(seconds=600))
    assert not opens(given, expires=SOON + 1)
    assert not opens(given, artifact="art_2")
    assert not opens(given, execution="exec_2")
    assert not opens(given, execution="exec_1art", artifact="_1")
    assert not signed_urls.opens_artifact(given, b"x" * 32, "exec_1", "art_1", SOON, NOW)
    for other in ("", "é", given[:-1], given + "=", signed_urls.signature(KEY, "badge", "exec_1", "art_1", str(SOON))):
        assert not opens(other)


@pytest.mark.parametrize("badge", [("smoke", None, None), ("smoke", "main", "staging"), ("ui", "größe", None)])
def test_a_url_opens_its_badge_and_tells_whose_it_is(badge: tuple[str, str | None, str | None]) -> None:
    given = signed_urls.badge_signature(KEY, 7, *badge)
    assert signed_urls.tenant_of_badge(given, KEY, *badge) == 7
    assert signed_urls.tenant_of_badge(given.replace("7.", "8.", 1), KEY, *badge) is None
    assert signed_urls.tenant_of_badge(given, KEY, "all", *badge[1:]) is None
    assert signed_urls.tenant_of_badge(given, KEY, badge[0], "other", badge[2]) is None
    assert signed_urls.tenant_of_badge(given, KEY, badge[0], badge[1], "dev") is None
    for other in ("", "7", "7.", ".", "x.y", "²." + given, "9" * 5000 + "." + given, given.partition(".")[2]):
        assert signed_urls.tenant_of_badge(other, KEY, *badge) is None
