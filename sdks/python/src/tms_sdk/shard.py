"""One shard of a run: its pytest process, and what the server is told of it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError, TMSError
from tms_sdk.guard import Guard
from tms_sdk.progress import ShardProgress
from tms_sdk.pytest_process import PytestProcess
from tms_sdk.records import Record, count, timestamp
from tms_sdk.verdict import ExitCode, Told, Verdict, judge
from tms_sdk.wire import CreatedExecution

PROVIDER = "tms-run"

LOOK_SECONDS = 0.1

# The server's answer to what comes for a cancelled execution.
CONFLICT = 409


class Stopped(Exception):
    """The run was stopped; raised in the threads of its shards."""


@dataclass(frozen=True, slots=True)
class Began:
    """News: the shard's process starts."""

    shard: "Shard"


@dataclass(frozen=True, slots=True)
class Failure:
    """News: a test failed."""

    shard: "Shard"
    record: Record


@dataclass(frozen=True, slots=True)
class Trouble:
    """News: the server refuses the run, or cannot be told of a result."""

    error: TMSError
    shard: "Shard | None" = None


@dataclass(frozen=True, slots=True)
class Ended:
    """News, the last of a shard: it is through, reported or not."""

    shard: "Shard"


News = Began | Failure | Trouble | Ended


@dataclass(eq=False)
class Journey:
    """What all shards of one run share.

    Attributes:
        client: the way to the server for results.
        teller: the way for events, which are worth less waiting.
        execution: as it was created.
        command: the user's pytest command.
        plan: each file's shard.
        folder: where the processes leave their files.
        guard: kills the processes if we are killed.
        stop: set when all of it has to end.
        opening: tells that the execution starts, which goes before all that the shards tell.
        news: where the shards tell what happens.
    """

    client: TMSClient
    teller: TMSClient
    execution: CreatedExecution
    command: Sequence[str]
    plan: dict[str, int]
    folder: Path
    guard: Guard
    stop: threading.Event
    opening: threading.Thread = field(init=False)
    news: SimpleQueue[News] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        started = ("execution.started", {"status": "running", "provider": PROVIDER})
        self.opening = threading.Thread(target=self.tell, args=started, daemon=True)

    def tell(self, event: str, data: dict[str, Any], client: TMSClient | None = None) -> None:
        """Send an event of the execution, as the documented examples do, through `teller` or another client.

        The results tell all that counts, so an event that is lost costs nobody anything; only a refusal because the
        execution was cancelled is news.
        """
        try:
            (client or self.teller).send_webhook(
                self.execution["webhookUrl"],
                self.execution["webhookToken"],
                event,
                {"executionId": self.execution["executionId"], **data},
            )
        except ApiError as error:
            if error.status == CONFLICT:
                self.news.put(Trouble(error))
        except (TMSError, Stopped):
            pass


@dataclass(eq=False)
class Shard:
    """One shard.

    Attributes:
        journey: the run it belongs to.
        progress: how far it is; `progress.planned` is 0 where it has no file to run.
        broken: its files that could not be collected, where the run ends by that.
        collect_code: pytest's exit code then; None where the tests are to be run.
        verdict: how it ended, once it has.
        reported: whether the server has taken its results.
    """

    journey: Journey
    progress: ShardProgress
    broken: list[Record]
    collect_code: int | None
    told: Told = field(default_factory=Told)
    verdict: Verdict | None = None
    reported: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no file is its own."""
        return int(self.progress.shard_id) not in self.journey.plan.values()

    def work(self) -> None:
        """Run the tests and report them; what goes wrong is told as news, never raised."""
        # The tests do not wait for the server to know that they began.
        starter = threading.Thread(target=self._tell_start, daemon=True)
        starter.start()
        self.journey.news.put(Began(self))
        began = datetime.now(UTC)
        try:
            self.verdict = self._run()
            starter.join()
            self._submit(self.verdict, began, datetime.now(UTC))
        except Stopped:
            self.progress.status = "cancelled"
        except TMSError as error:
            self.progress.status = "error"
            self.journey.news.put(Trouble(error, self))
        self.progress.running = ""
        self.journey.news.put(Ended(self))

    def _tell_start(self) -> None:
        self.journey.opening.join()
        self.journey.tell("shard.started", {"shardId": self.progress.shard_id})

    def _run(self) -> Verdict:
        self.progress.status = "running"
        if self.collect_code is not None:
            for record in self.broken:
                self._count(record)
            return Verdict("error", self.broken, self.collect_code)
        if self.is_empty:
            return Verdict("completed", [], ExitCode.NO_TESTS)
        shard_id = self.progress.shard_id
        with PytestProcess(
            self.journey.command,
            folder=self.journey.folder,
            name=f"shard-{shard_id}",
            shard=int(shard_id),
            plan=self.journey.plan,
            guard=self.journey.guard,
        ) as process:
            while (exit_code := process.wait(LOOK_SECONDS)) is None:
                if self.journey.stop.is_set():
                    process.stop()
                    raise Stopped
                self._listen(process.news())
            self._listen(process.news())
            verdict = judge(shard_id, self.told, exit_code, process.last_lines())
        for record in verdict.tests[len(self.told.tests) + len(self.told.broken) :]:
            self._count(record)
        return verdict

    def _listen(self, lines: list[dict[str, Any]]) -> None:
        """Take in what the process has told."""
        for line in lines:
            if "start" in line:
                # An attempt after the first begins too.
                if line["start"] not in self.told.running:
                    self.told.running.append(line["start"])
                self.progress.running = line["start"]
            elif "test" in line:
                self.told.tests.append(line["test"])
                if line.get("nodeid") in self.told.running:
                    self.told.running.remove(line["nodeid"])
                self._count(line["test"])
            elif "broken" in line:
                self.told.broken.append(line["broken"])
                self._count(line["broken"])
            elif "finish" in line:
                self.told.finished = True

    def _count(self, record: Record) -> None:
        results = self.progress.results
        results["total"] += 1
        results[record["status"]] += 1
        results["flaky"] += record["status"] == "passed" and record["retries"] > 0
        if record["status"] == "failed":
            self.journey.news.put(Failure(self, record))

    def _submit(self, verdict: Verdict, began: datetime, ended: datetime) -> None:
        summary = count(verdict.tests)
        duration = round((ended - began).total_seconds() * 1000)
        self.journey.client.submit_results(
            self.journey.execution["executionId"],
            self.progress.shard_id,
            {
                "provider": PROVIDER,
                "status": verdict.status,
                "summary": summary,
                "tests": list(verdict.tests),
                "startTime": timestamp(began),
                "endTime": timestamp(ended),
                "duration": duration,
                "metadata": {"exitCode": verdict.exit_code},
            },
        )
        self.reported = True
        self.progress.status = verdict.status
        self.journey.tell(
            "shard.completed",
            {
                "shardId": self.progress.shard_id,
                "status": verdict.status,
                "results": summary,
                "duration": duration,
            },
        )
