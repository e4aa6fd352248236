"""Webhooks as they are printed."""

from datetime import timedelta

from gateway.wire.webhooks import printed
from orchestrator.timestamps import to_text
from tests.registrations import NOW, webhook


def test_a_former_secret_is_shown_until_its_time_has_passed() -> None:
    until = NOW + timedelta(hours=1)
    rotated = webhook(1, former_secret_until=until)

    assert printed(rotated, NOW).former_secret_until == to_text(until)
    assert printed(rotated, until).former_secret_until is None
