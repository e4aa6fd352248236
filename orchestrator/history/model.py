"""A test over executions: its stable id, how its runs end, and what of them is remembered."""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec

REMEMBERED = 30
"""How many of a test's latest runs its rates and durations are taken from."""
ESTIMATED_FROM = 9
"""How many of a test's latest runs of one suite and branch its next duration is estimated from."""

_ID_DIGITS = 20


def test_id(file: str | None, title: str) -> str:
    """The id of the test of this file and title in every shard and execution, such as `test_0a1b…` with 20 hex digits.

    The function `stable_test_id` of the database is the same. It is unique within a tenant: of a thousand million
    tests, two would share one once in a million tenants.
    """
    digest = sha256(f"{file or ''}\0{title}".encode())
    return f"test_{digest.hexdigest()[:_ID_DIGITS]}"


class Outcome(StrEnum):
    """How one run of a test ended, as a letter; the latest runs are a text of such letters, newest first."""

    PASSED = "p"
    FLAKY = "k"
    FAILED = "f"
    SKIPPED = "s"


class Past(msgspec.Struct, frozen=True, gc=False):
    """What planning knows of a test: durations in milliseconds, newest first, `ESTIMATED_FROM` at most."""

    durations: tuple[float, ...]
    last_failed: bool


class Ending(StrEnum):
    """How a quarantine ended: its test passed often enough in a row, its time was over, or somebody removed it."""

    PASSED = "passed"
    EXPIRED = "expired"
    REMOVED = "removed"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a test is in quarantine.

    Attributes:
        owner: who sees to it.
        expires_at: when it ends at the latest.
        exit_streak: after how many passes in a row it ends.
    """

    owner: str
    reason: str
    expires_at: datetime
    exit_streak: int
