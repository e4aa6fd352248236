"""`tms run`: collect once, split by file, run the shards side by side, tell the server all of it."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tms_sdk import ci
from tms_sdk.bars import Bars, summary
from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError, TMSError
from tms_sdk.guard import Guard
from tms_sdk.plan import split
from tms_sdk.progress import ExecutionProgress
from tms_sdk.pytest_process import PytestProcess
from tms_sdk.records import Record, count
from tms_sdk.reporter import Reporter
from tms_sdk.retry import Retry
from tms_sdk.shard import (
    CONFLICT,
    LOOK_SECONDS,
    PROVIDER,
    Began,
    Ended,
    Failure,
    Journey,
    Shard,
    Stopped,
    Trouble,
)
from tms_sdk.verdict import ExitCode, worst

# Results are worth waiting for: a server that restarts or moves is back within minutes.
PATIENCE = Retry(attempts=100, longest_delay=15.0, total=600.0)
# A run that cannot begin should say so soon. Events are worth no long wait either, but many shards together may meet
# their limit of 10 a second.
SOME_PATIENCE = Retry(attempts=8, longest_delay=5.0, total=30.0)
# Somebody who pressed Ctrl-C is waiting.
IMPATIENCE = Retry(attempts=3, total=5.0)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `tms run` was asked for; `timeout` is in seconds, None leaves it to the server."""

    url: str
    token: str
    command: Sequence[str]
    shards: int
    suite: str
    environment: str
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """What `--collect-only` found.

    Attributes:
        files: tests per file.
        broken: records of the files that could not be collected.
        runnable: whether pytest itself would go on to run the tests.
        exit_code: pytest's.
        output: what it printed.
    """

    files: dict[str, int]
    broken: list[Record]
    runnable: bool
    exit_code: int
    output: str


def run(options: RunOptions, console: Console) -> int:
    """Run the tests and return the exit code: pytest's own, the worst of all shards.

    3 where results could not be delivered, 2 where the execution was cancelled, here or on the server.

    Raises:
        UsageError: the command cannot be started.
        ApiError: no execution can be created.
        Unreachable: the server does not answer.
    """
    stop = threading.Event()

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped

    with (
        TMSClient(options.token, options.url, retry=PATIENCE, sleep=pause) as client,
        TMSClient(options.token, options.url, retry=SOME_PATIENCE, sleep=pause) as teller,
        TemporaryDirectory(prefix="tms-run-", ignore_cleanup_errors=True) as name,
        Guard() as guard,
    ):
        folder = Path(name)
        collection = _collect(options.command, folder, guard)
        if not collection.files or not (collection.runnable or collection.broken):
            # Nothing to report on: pytest's own words (no tests, a wrong option, its help) are the answer.
            console.out(collection.output, end="", highlight=False)
            return collection.exit_code
        plan = split(collection.files, options.shards)
        execution = teller.create_execution(_configuration(options))
        journey = Journey(client, teller, execution, options.command, plan, folder, guard, stop)
        return _Run(options, console, journey, collection).go()


class _Run:
    """The run as the main thread sees it: it shows what the shards tell, and decides when all has to end."""

    def __init__(self, options: RunOptions, console: Console, journey: Journey, collection: Collection) -> None:
        self._options = options
        self._console = console
        self._journey = journey
        self._execution_id = journey.execution["executionId"]
        self._progress = ExecutionProgress(self._execution_id, "running")
        self._shards = [self._shard(number, collection) for number in range(1, options.shards + 1)]
        self._failures: list[Failure] = []
        self._cancelled = False

    def _shard(self, number: int, collection: Collection) -> Shard:
        progress = self._progress.shard(str(number))
        mine = [file for file, shard in self._journey.plan.items() if shard == number]
        progress.planned = sum(collection.files[file] for file in mine)
        broken = [record for record in collection.broken if record["file"] in mine]
        return Shard(self._journey, progress, broken, None if collection.runnable else collection.exit_code)

    def go(self) -> int:
        began = time.monotonic()
        threads = [threading.Thread(target=shard.work, daemon=True) for shard in self._shards]
        tests = sum(shard.progress.planned or 0 for shard in self._shards)
        self._console.print(
            f"{self._execution_id}: {tests} tests, {len(self._journey.plan)} files, {len(threads)} shards",
            highlight=False,
        )
        try:
            self._journey.opening.start()
            for thread in threads:
                thread.start()
            bars = Live(Bars(self._progress), console=self._console) if self._console.is_terminal else nullcontext()
            with bars, Reporter(self._journey, self._progress.shards.values()):
                self._follow()
        except KeyboardInterrupt:
            self._interrupt(threads)
            return ExitCode.INTERRUPTED
        if self._cancelled:
            return ExitCode.INTERRUPTED
        self._conclude(time.monotonic() - began)
        codes = [shard.verdict.exit_code for shard in self._shards if shard.verdict is not None]
        if not all(shard.reported for shard in self._shards):
            codes.append(ExitCode.INTERNAL_ERROR)
        return worst(codes)

    def _follow(self) -> None:
        """Show the shards' news until all have ended."""
        ended = 0
        while ended < len(self._shards):
            news = self._journey.news.get()
            match news:
                case Began(shard):
                    self._line(f"shard {shard.progress.shard_id}: {shard.progress.planned} tests")
                case Failure():
                    self._failures.append(news)
                    self._show(news)
                case Trouble(error, shard):
                    self._take_trouble(error, shard)
                case Ended(shard):
                    ended += 1
                    progress = shard.progress
                    self._line(f"shard {progress.shard_id}: {progress.status}, {summary(progress.results)}")
        self._progress.status = "cancelled" if self._cancelled else "completed"

    def _line(self, words: str) -> None:
        """Print what the bars show, where there are none."""
        if not self._console.is_terminal:
            self._console.print(words, highlight=False, soft_wrap=True)

    def _show(self, failure: Failure) -> None:
        heading = f"FAILED {_name(failure.record)} (shard {failure.shard.progress.shard_id})"
        self._console.print(Text(heading, "bold red"), soft_wrap=True)
        self._console.print(Text(failure.record.get("error", "")), soft_wrap=True)

    def _take_trouble(self, error: TMSError, shard: Shard | None) -> None:
        if isinstance(error, ApiError) and error.status == CONFLICT:
            if not self._cancelled:
                self._cancelled = True
                self._console.print(Text(f"Stopping: {error.message}", "bold yellow"), soft_wrap=True)
            self._journey.stop.set()
        elif shard is not None:
            words = f"The results of shard {shard.progress.shard_id} are not on the server: {error}"
            self._console.print(Text(words, "bold red"), soft_wrap=True)

    def _interrupt(self, threads: list[threading.Thread]) -> None:
        self._console.print(Text(f"Interrupted: cancelling {self._execution_id}", "bold yellow"))
        self._journey.stop.set()
        try:
            with TMSClient(self._options.token, self._options.url, retry=IMPATIENCE) as client:
                client.cancel_execution(self._execution_id)
        except TMSError as error:
            self._console.print(Text(f"Not cancelled on the server: {error}", "bold red"), soft_wrap=True)
        for thread in threads:
            thread.join()

    def _conclude(self, seconds: float) -> None:
        """Print the end: the failed tests, the totals, and where to look."""
        for failure in self._failures:
            words = f"FAILED {_name(failure.record)} (shard {failure.shard.progress.shard_id})"
            self._console.print(Text(words, "red"), soft_wrap=True)
        ours = count(record for shard in self._shards if shard.verdict for record in shard.verdict.tests)
        self._console.print(Text.assemble(summary(ours), f" in {seconds:.1f} s"), soft_wrap=True)
        try:
            with TMSClient(self._options.token, self._options.url, retry=IMPATIENCE) as client:
                told = client.get_execution(self._execution_id)
        except TMSError as error:
            self._console.print(Text(f"The server cannot be asked for the result: {error}", "bold red"), soft_wrap=True)
            return
        if {**ours, **told.get("results", {})} != ours:
            words = f"The server has other totals: {told['results']}. Did somebody else report to this execution?"
            self._console.print(Text(words, "bold yellow"), soft_wrap=True)
        where = told.get("artifacts", {}).get("reportUrl", "")
        self._console.print(Text(f"{self._execution_id} {told['status']}  {where}"), soft_wrap=True)


def _collect(command: Sequence[str], folder: Path, guard: Guard) -> Collection:
    """Let pytest say what it would run."""
    with PytestProcess(command, folder=folder, name="collect", shard=None, plan={}, guard=guard) as process:
        try:
            while (exit_code := process.wait(LOOK_SECONDS)) is None:
                pass
        except KeyboardInterrupt:
            process.stop()
            raise
        files: dict[str, int] = {}
        broken: list[Record] = []
        goes_on = False
        for line in process.news():
            files = line.get("collected", files)
            goes_on = line.get("goes_on", goes_on)
            broken += [line["broken"]] if "broken" in line else []
        code = exit_code if exit_code >= 0 else ExitCode.INTERNAL_ERROR
        runnable = code in {ExitCode.OK, ExitCode.NO_TESTS} or (goes_on and bool(broken))
        return Collection(files, broken, runnable, code, process.output())


def _configuration(options: RunOptions) -> dict[str, Any]:
    configuration: dict[str, Any] = {"shards": options.shards, "parallel": True}
    if options.timeout is not None:
        configuration["timeout"] = options.timeout * 1000
    return {
        "testSuite": options.suite,
        "environment": options.environment,
        "provider": PROVIDER,
        "triggerSource": "api" if os.environ.get("CI") else "manual",
        "configuration": configuration,
        "metadata": ci.metadata(os.environ, ci.git_output),
    }


def _name(record: Record) -> str:
    """Print a test as pytest does."""
    return "::".join(dict.fromkeys(filter(None, [record["file"], record["title"]])))
