"""Quarantine on the wire."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.wire.executions import Cursor, PageSize, Reason
from gateway.wire.moments import PrintedMoment, Timestamp, check
from orchestrator.history.model import REMEMBERED, Ending, Terms
from orchestrator.timestamps import to_text, to_text_or_none
from storage import quarantines

Owner = Annotated[str, Meta(min_length=1, max_length=200)]
ExitStreak = Annotated[int, Meta(ge=1, le=REMEMBERED)]


class PutQuarantine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """On what terms: `exitStreak` passes in a row end it, and `expiresAt` does at the latest."""

    owner: Owner
    reason: Reason
    expires_at: Timestamp
    exit_streak: ExitStreak = 5

    def __post_init__(self) -> None:
        check((self.expires_at,))

    def terms(self) -> Terms:
        """As the rules know them."""
        return Terms(owner=self.owner, reason=self.reason, expires_at=self.expires_at, exit_streak=self.exit_streak)


class QuarantineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which to list: those that last, or those that ended."""

    state: Literal["active", "ended"] = "active"
    limit: PageSize = 50
    cursor: Cursor | None = None


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One quarantine. `streak`: how many of the test's latest runs passed in a row since it began."""

    quarantine_id: str
    test_id: str
    title: str | None
    file: str | None
    owner: str
    reason: str
    created_at: PrintedMoment
    expires_at: PrintedMoment
    exit_streak: int
    streak: int
    ended_at: PrintedMoment | None
    ending: Ending | None


class QuarantinePage(msgspec.Struct, frozen=True, rename="camel"):
    """Quarantines, newest first."""

    quarantines: list[Quarantine]
    next_cursor: str | None


def printed(quarantine: quarantines.Quarantine) -> Quarantine:
    """As it is printed wherever it is."""
    return Quarantine(
        quarantine_id=quarantine.quarantine_id,
        test_id=quarantine.test_id,
        title=quarantine.title,
        file=quarantine.file,
        owner=quarantine.owner,
        reason=quarantine.reason,
        created_at=to_text(quarantine.created_at),
        expires_at=to_text(quarantine.expires_at),
        exit_streak=quarantine.exit_streak,
        streak=quarantine.streak,
        ended_at=to_text_or_none(quarantine.ended_at),
        ending=quarantine.ending,
    )
