"""What the log in Postgres has for live readers, as frames."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from actors.transaction import ERROR_LENGTH
from gateway.live import frames
from gateway.live.frames import Frame
from gateway.live.measures import EVENTS, SNAPSHOTS, TESTS, LiveMeasures
from storage import executions, live
from storage.live import Head
from storage.postgres import Reader

EVENTS_PAGE = 500
TESTS_PAGE = 5
"""Frames read at a time; one of tests holds up to `FRAME_TESTS`."""


class Snapshot(msgspec.Struct, frozen=True):
    """An execution as it stood when it was read: its frame, and how far it had come."""

    frame: Frame
    head: Head


class Replay:
    """Reads the log.

    Raises:
        Unavailable: by every method, while the database is away.
    """

    def __init__(self, reader: Reader, measures: LiveMeasures) -> None:
        self._reader = reader
        self._measures = measures

    async def snapshots(self, tenant_id: int, execution_ids: Sequence[str]) -> dict[str, Snapshot]:
        """Executions as they stand; those that this tenant does not have are left out."""
        self._measures.read(SNAPSHOTS)
        async with self._reader.tenant(tenant_id) as connection:
            found = await executions.load(connection, execution_ids)
        return {
            execution_id: Snapshot(
                frames.of_execution(execution),
                Head(
                    execution_id,
                    execution.seq,
                    execution.frames,
                    execution.test_suite,
                    execution.environment,
                    execution.status,
                ),
            )
            for execution_id, execution in found.items()
        }

    async def events(self, tenant_id: int, execution_id: str, after: int) -> list[Frame]:
        """The next events that follow number `after`."""
        self._measures.read(EVENTS)
        async with self._reader.tenant(tenant_id) as connection:
            records = await executions.events(connection, execution_id, after=after, limit=EVENTS_PAGE)
        return [frames.of_log(execution_id, record) for record in records]

    async def tests(self, tenant_id: int, execution_id: str, after: int) -> list[Frame]:
        """The next frames of tests that follow number `after`."""
        self._measures.read(TESTS)
        async with self._reader.tenant(tenant_id) as connection:
            found = await live.test_frames(
                connection, execution_id, after=after, limit=TESTS_PAGE, error_length=ERROR_LENGTH
            )
        return [frames.of_tests(execution_id, frame) for frame in found]

    async def moved_on(self, tenant_id: int, known: Mapping[str, tuple[int, int]]) -> list[Head]:
        """Those that have more events or frames of tests than are known: execution id to (seq, frames)."""
        seqs = [seq for seq, _ in known.values()]
        numbers = [number for _, number in known.values()]
        async with self._reader.tenant(tenant_id) as connection:
            return await live.moved_on(connection, list(known), seqs, numbers)

    async def unfinished_or_new(self, tenant_id: int, since: datetime | None) -> tuple[list[Head], datetime]:
        """As `storage.live.unfinished_or_new`."""
        async with self._reader.tenant(tenant_id) as connection:
            return await live.unfinished_or_new(connection, since)
