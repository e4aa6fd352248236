"""One shard of a run: its pytest process, and the runner that speaks to the server for it."""

import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tms_sdk.assignment import Assignment
from tms_sdk.client import TMSClient
from tms_sdk.errors import TMSError
from tms_sdk.guard import Guard
from tms_sdk.inbox import Inbox
from tms_sdk.manifest import Dealing
from tms_sdk.progress import ShardProgress
from tms_sdk.pytest_process import PytestProcess
from tms_sdk.records import Record
from tms_sdk.retry import Patience
from tms_sdk.runner import Runner
from tms_sdk.settings import SPOOL
from tms_sdk.share import Node
from tms_sdk.spool import Spool
from tms_sdk.verdict import Death, Verdict

PROVIDER = "tms-run"

_SOCKET_VARIABLE = "TMS_RUNNER_SOCKET"
_TEMP_ROOT_VARIABLE = "PYTEST_DEBUG_TEMPROOT"
_LOADER = "tms_sdk.pytest_loader"


class Stopped(Exception):
    """The run was stopped; raised in the threads of its shards."""


@dataclass(frozen=True, slots=True)
class Created:
    """News: there is an execution for so many tests in so many files."""

    execution_id: str
    tests: int
    files: int


@dataclass(frozen=True, slots=True)
class Failure:
    """News: a test failed."""

    shard: "Shard"
    record: Record


@dataclass(frozen=True, slots=True)
class Said:
    """News: what the user has to know of a shard."""

    shard: "Shard"
    words: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """News: the server has ended the execution before its time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """News: the run cannot go on."""

    error: TMSError


@dataclass(frozen=True, slots=True)
class Ended:
    """News, the last of a shard: it is through."""

    shard: "Shard"


News = Created | Failure | Said | Cancelled | Trouble | Ended


@dataclass(eq=False)
class Journey:
    """What all shards of one run share.

    Attributes:
        client: the way to the server.
        create: makes the execution, when the first shard knows that there is something to run.
        command: the user's pytest command.
        dealing: how the tests are dealt out.
        shards: how many there are.
        patience: seconds to wait for a server that is away.
        folder: where the processes leave their files.
        guard: kills the processes if we are killed.
        stop: set when all of it has to end.
        news: where the shards tell what happens.
        execution_id: None until there is one.
        inboxes: of the shards that have begun.
    """

    client: TMSClient
    create: Callable[[], str]
    command: Sequence[str]
    dealing: Dealing
    shards: int
    patience: float
    folder: Path
    guard: Guard
    stop: threading.Event
    news: SimpleQueue[News] = field(default_factory=SimpleQueue)
    execution_id: str | None = None
    inboxes: list[Inbox] = field(default_factory=list)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _working: int = 0
    _failing: int = 0

    def __post_init__(self) -> None:
        self._working = self.shards

    def find(self, tests: int, files: int) -> str:
        """Return the execution, made by the shard that comes first.

        Raises:
            Stopped: there is none, so the run ends.
        """
        with self._turn:
            if self.execution_id is None:
                if self.stop.is_set():
                    raise Stopped
                try:
                    self.execution_id = self.create()
                except TMSError as error:
                    self.stop.set()
                    self.news.put(Trouble(error))
                    raise Stopped from error
                self.news.put(Created(self.execution_id, tests, files))
            return self.execution_id

    def nudge(self) -> None:
        """Nothing is left to run, so shards that wait for what others may lose need not wait on."""
        for inbox in self.inboxes:
            inbox.nudge()

    def leave(self, *, fails: bool) -> None:
        """Note that a shard runs no more tests, and wait for its turn to be closed.

        Those that fail wait for all others to run theirs. The last other one lets them go first.

        Raises:
            Stopped: the run was stopped meanwhile.
        """
        with self._turn:
            self._working -= 1
            self._failing += fails
            self._turn.notify_all()
            while not self.stop.is_set() and (self._working if fails else self._failing and not self._working):
                self._turn.wait(1.0)
        if self.stop.is_set():
            raise Stopped

    def end(self, *, has_left: bool, failed: bool) -> None:
        """Note that a shard is through with all."""
        with self._turn:
            self._working -= not has_left
            self._failing -= failed and has_left
            self._turn.notify_all()


class Shard:
    """One shard; it is its runner's host.

    Attributes:
        progress: how far it is; `progress.planned` grows with each lease.
        verdict: how it ended, once it has.
        exit_code: of its pytest process, negative for a signal, once that has ended.
        refused: whether the server does not want some of its results.
        output: what pytest printed, where it ran nothing.
    """

    provider = PROVIDER
    outlives_pytest = True

    def __init__(self, journey: Journey, progress: ShardProgress) -> None:
        self.progress = progress
        self.verdict: Verdict | None = None
        self.refused = False
        self.output = ""
        self._journey = journey
        self._process: PytestProcess
        self._collected = (0, 0)
        self._has_left = self._fails = False
        self.exit_code: int | None = None

    def work(self) -> None:
        """Run the tests and report them; what goes wrong is told as news. Whatever happens, there is an end."""
        status = "error"
        try:
            self._run()
            status = self.verdict.status if self.verdict is not None else status
        except Stopped:
            status = "cancelled"
        except TMSError as error:
            self._journey.stop.set()
            self._journey.news.put(Trouble(error))
        finally:
            self.progress.status = status
            self._journey.end(has_left=self._has_left, failed=self._fails)
            self.progress.running = ""
            self._journey.news.put(Ended(self))

    def _run(self) -> None:
        journey, name = self._journey, f"shard-{self.progress.shard_id}"
        node = Node(int(self.progress.shard_id) - 1, journey.shards)
        runner_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        spool = Spool(SPOOL, runner_id)
        path = str(journey.folder / f"{name}.socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()
            with PytestProcess(
                journey.command,
                output=journey.folder / f"{name}.output",
                options=["-p", _LOADER, "--tms", "--tms-shard", self.progress.shard_id],
                environ={_SOCKET_VARIABLE: path} | _own_temp_root(name),
                guard=journey.guard,
            ) as self._process:
                self.progress.status = "running"
                assignment = Assignment(
                    journey.client,
                    runner_id,
                    journey.dealing,
                    shard_id=self.progress.shard_id,
                    is_fixed=False,  # so that a process that dies leaves its tests to the others
                    spool=spool,
                )
                inbox = Inbox(listener)
                journey.inboxes.append(inbox)
                runner = Runner(inbox, assignment, self, node, spool, Patience(journey.patience))
                with closing(inbox):
                    runner.work()
                self.verdict, self.refused = runner.verdict, runner.refused
                if not self._collected[0]:
                    self.output = self._process.output()

    # As the runner's host

    def find(self) -> str:
        """Return the run's execution."""
        return self._journey.find(*self._collected)

    def tell(self, line: dict[str, Any]) -> None:
        """Take in what happens in the shard."""
        match line:
            case {"record": record}:
                self._count(record)
            case {"start": str(test_id)}:
                self.progress.running = test_id
            case {"done": _}:
                self._journey.nudge()
            case {"lease": int(tests)}:
                self.progress.planned = (self.progress.planned or 0) + tests
            case {"collected": int(tests), "files": int(files)}:
                self._collected = (tests, files)
            case {"said": str(words)}:
                self._journey.news.put(Said(self, words))
            case {"stopped": str(reason)}:
                self._journey.news.put(Cancelled(reason))

    def _count(self, record: Record) -> None:
        results = self.progress.results
        results["total"] += 1
        results[record["status"]] += 1
        results["flaky"] += record["status"] == "passed" and record["retries"] > 0
        if record["status"] == "failed":
            self._journey.news.put(Failure(self, record))

    def interrupt(self, pid: int) -> None:
        """The run ends as a whole, by `Journey.stop`."""

    def death(self) -> Death | None:
        """Return how the process ended; end it where the run is stopped.

        Raises:
            Stopped: it was.
        """
        if self._journey.stop.is_set():
            self._process.stop()
            raise Stopped
        self.exit_code = self._process.wait(0)
        return None if self.exit_code is None else Death(self.exit_code, self._process.last_lines())

    def is_turn(self, *, fails: bool) -> bool:
        """A shard in error ends the execution, so it is closed when the others are through, and before the last one."""
        self._has_left, self._fails = True, fails
        self._journey.leave(fails=fails)
        return True

    def abort(self) -> None:
        """The run cancels its execution itself."""


def _own_temp_root(name: str) -> dict[str, str]:
    """Return the variable that gives a process a root of its own for its `tmp_path`s, next to where they would be.

    At its end each pytest removes what former ones have left in its root. Two that do so at once get in each other's
    way, and the one that does not find what it wants to remove fails.
    """
    root = Path(os.environ.get(_TEMP_ROOT_VARIABLE) or tempfile.gettempdir()) / f"tms-{os.getuid()}-{name}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        is_ours = root.lstat().st_uid == os.getuid()
    except OSError:
        return {}
    return {_TEMP_ROOT_VARIABLE: str(root)} if is_ours else {}
