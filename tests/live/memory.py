"""A log and a reader in memory, so that every order of things can be tried."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.live.frames import Frame, Kind
from gateway.live.replay import Replay, Snapshot
from orchestrator.errors import Unavailable
from orchestrator.executions.model import UNFINISHED, ExecutionStatus
from storage.bus import EventNews, News, TestsNews
from storage.live import Head

TENANT = 7
PAGE = 3
SUITE, ENVIRONMENT = "smoke", "staging"


class MemoryLog(Replay):
    """What Postgres would have: executions with so many events, each with one frame of tests or none."""

    def __init__(self) -> None:
        self.events_of: dict[str, int] = {}
        self.tests_of: dict[str, int] = {}
        self.status_of: dict[str, ExecutionStatus] = {}
        self.failures = 0
        self.reads = 0

    def commit(
        self, execution_id: str, events: int, tests: int = 0, status: ExecutionStatus = ExecutionStatus.RUNNING
    ) -> News:
        """Append some, the last of which lead to the status; returns the news of it."""
        self.status_of[execution_id] = status
        seq = self.events_of.get(execution_id, 0)
        frame = self.tests_of.get(execution_id, 0)
        self.events_of[execution_id] = seq + events
        self.tests_of[execution_id] = frame + tests
        return News(
            partition=0,
            events=[
                EventNews(TENANT, execution_id, number, SUITE, ENVIRONMENT, status, b"{}")
                for number in range(seq + 1, seq + events + 1)
            ],
            tests=[
                TestsNews(TENANT, execution_id, f"sub_{number}", "1", number, 1)
                for number in range(frame + 1, frame + tests + 1)
            ],
        )

    async def snapshots(self, tenant_id: int, execution_ids: Sequence[str]) -> dict[str, Snapshot]:
        await self._away()
        found = {
            execution_id: Snapshot(
                Frame(
                    execution_id,
                    Kind.SNAPSHOT,
                    self.events_of[execution_id],
                    b"{}",
                    self.status_of[execution_id],
                ),
                self._head(execution_id),
            )
            for execution_id in execution_ids
            if tenant_id == TENANT and execution_id in self.events_of
        }
        await asyncio.sleep(0)
        return found

    async def events(self, tenant_id: int, execution_id: str, after: int) -> list[Frame]:
        assert tenant_id == TENANT
        await self._away()
        return self._frames(execution_id, Kind.EVENT, after, self.events_of[execution_id])

    async def tests(self, tenant_id: int, execution_id: str, after: int) -> list[Frame]:
        assert tenant_id == TENANT
        await self._away()
        return self._frames(execution_id, Kind.TESTS, after, self.tests_of[execution_id])

    async def moved_on(self, tenant_id: int, known: Mapping[str, tuple[int, int]]) -> list[Head]:
        assert tenant_id == TENANT
        await self._away()
        heads = [self._head(execution_id) for execution_id in known]
        return [
            head
            for head in heads
            if head.seq > known[head.execution_id][0] or head.frames > known[head.execution_id][1]
        ]

    async def unfinished_or_new(self, tenant_id: int, since: datetime | None) -> tuple[list[Head], datetime]:
        await self._away()
        heads = [
            self._head(execution_id)
            for execution_id, status in self.status_of.items()
            if tenant_id == TENANT and (status in UNFINISHED or since is not None)
        ]
        await asyncio.sleep(0)
        return heads, since or datetime.now(UTC)

    def _head(self, execution_id: str) -> Head:
        return Head(
            execution_id,
            self.events_of[execution_id],
            self.tests_of[execution_id],
            SUITE,
            ENVIRONMENT,
            self.status_of[execution_id],
        )

    async def _away(self) -> None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise Unavailable("away for the test")

    @staticmethod
    def _frames(execution_id: str, kind: Kind, after: int, last: int) -> list[Frame]:
        return [Frame(execution_id, kind, number, b"{}") for number in range(after + 1, min(after + PAGE, last) + 1)]


class MemorySink:
    """Keeps what it is given; while it has no room, a write waits as on a full socket."""

    ping_seconds = None

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.room = asyncio.Event()
        self.room.set()
        self.is_gone = False

    def write(self, frame: Frame) -> bool:
        if self.room.is_set():
            self.frames.append(frame)
        return self.room.is_set()

    async def send(self, frame: Frame) -> None:
        if self.is_gone:
            raise ConnectionResetError("gone")
        self.frames.append(frame)
        await self.room.wait()

    async def ping(self) -> None:
        raise AssertionError("never quiet for so long")

    def of(self, *kinds: Kind) -> list[Frame]:
        """The frames of these kinds."""
        return [frame for frame in self.frames if frame.kind in kinds]


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(200):
        await asyncio.sleep(0)
