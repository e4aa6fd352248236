"""`tms run`: pytest processes side by side on this machine, which the server deals the tests to."""

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tms_sdk.bars import Bars, summary
from tms_sdk.client import TMSClient
from tms_sdk.errors import TMSError, UsageError
from tms_sdk.executions import configuration, failed_at
from tms_sdk.guard import Guard
from tms_sdk.manifest import Dealing
from tms_sdk.progress import ExecutionProgress, no_counters
from tms_sdk.records import Counters, Record
from tms_sdk.retry import Retry
from tms_sdk.runner import HASTE
from tms_sdk.shard import PROVIDER, Cancelled, Created, Ended, Failure, Journey, Said, Shard, Stopped, Trouble
from tms_sdk.verdict import ExitCode, worst

# A run that cannot begin should say so soon.
SOME_PATIENCE = Retry(attempts=8, longest_delay=5.0, total=30.0)
# Somebody who pressed Ctrl-C is waiting.
IMPATIENCE = Retry(attempts=3, total=5.0)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `tms run` was asked for.

    Attributes:
        url: the server's address.
        token: the API token.
        command: the user's pytest command.
        shards: processes side by side.
        dealing: how the tests are dealt out.
        patience: seconds to wait for a server that goes away on the way.
        suite: what is run.
        environment: what it is run against.
        timeout: seconds after which the execution fails; None leaves it to the server.
    """

    url: str
    token: str
    command: Sequence[str]
    shards: int
    dealing: Dealing
    patience: float
    suite: str
    environment: str
    timeout: int | None = None


def run(options: RunOptions, console: Console) -> int:
    """Run the tests and return the exit code: pytest's own, the worst of all shards.

    1 where all are well and the execution is not: a test has failed elsewhere, or was run nowhere. 3 where the server
    refuses results, 2 where the execution was cancelled, here or on the server.

    Raises:
        UsageError: the command cannot be started.
        ApiError: no execution can be created.
        Unreachable: the server does not answer.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise UsageError("tms run needs Unix sockets, which this system does not have")
    stop = threading.Event()

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped

    with (
        TMSClient(options.token, options.url, retry=HASTE, sleep=pause) as client,
        TMSClient(options.token, options.url, retry=SOME_PATIENCE, sleep=pause) as creator,
        TemporaryDirectory(prefix="tms-run-", ignore_cleanup_errors=True) as name,
        Guard() as guard,
    ):
        described = configuration(
            shards=options.shards,
            provider=PROVIDER,
            suite=options.suite,
            environment=options.environment,
            timeout=options.timeout,
        )
        journey = Journey(
            client=client,
            create=lambda: creator.create_execution(described)["executionId"],
            command=options.command,
            dealing=options.dealing,
            shards=options.shards,
            patience=options.patience,
            folder=Path(name),
            guard=guard,
            stop=stop,
        )
        return _Run(options, console, journey).go()


class _Run:
    """The run as the main thread sees it: it shows what the shards tell, and decides when all has to end."""

    def __init__(self, options: RunOptions, console: Console, journey: Journey) -> None:
        self._options = options
        self._console = console
        self._journey = journey
        self._progress = ExecutionProgress("collecting", "created")
        self._shards = [Shard(journey, self._progress.shard(str(number))) for number in range(1, options.shards + 1)]
        self._failures: list[Failure] = []
        self._cancelled = False
        self._trouble: TMSError | None = None

    def go(self) -> int:
        began = time.monotonic()
        threads = [threading.Thread(target=shard.work, daemon=True) for shard in self._shards]
        try:
            for thread in threads:
                thread.start()
            bars = Live(Bars(self._progress), console=self._console) if self._console.is_terminal else nullcontext()
            with bars:
                self._follow()
        except KeyboardInterrupt:
            self._interrupt(threads)
            return ExitCode.INTERRUPTED
        if self._trouble is not None:
            raise self._trouble
        if self._cancelled:
            return ExitCode.INTERRUPTED
        codes = [shard.verdict.exit_code for shard in self._shards if shard.verdict is not None]
        if self._journey.execution_id is None:
            # Nothing to report on: pytest's own words (no tests, a wrong option, its help) are the answer.
            self._console.out(self._shards[0].output, end="", highlight=False)
            code = self._shards[0].exit_code
            return ExitCode.INTERNAL_ERROR if code is None or code < 0 else code
        has_failed = self._conclude(self._journey.execution_id, time.monotonic() - began)
        if any(shard.refused or shard.verdict is None for shard in self._shards):
            codes.append(ExitCode.INTERNAL_ERROR)
        if has_failed:
            codes.append(ExitCode.TESTS_FAILED)
        return worst(codes)

    def _follow(self) -> None:
        """Show the shards' news until all have ended."""
        ended = 0
        while ended < len(self._shards):
            news = self._journey.news.get()
            match news:
                case Created(execution_id, tests, files):
                    self._progress.execution_id, self._progress.status = execution_id, "running"
                    words = f"{execution_id}: {tests} tests, {files} files, {len(self._shards)} shards"
                    self._console.print(words, highlight=False)
                case Failure():
                    self._failures.append(news)
                    self._show(news)
                case Said(shard, words):
                    told = f"shard {shard.progress.shard_id}: {words}"
                    self._console.print(Text(told, "bold yellow"), soft_wrap=True)
                case Cancelled(reason):
                    self._cancel(reason)
                case Trouble(error):
                    self._trouble = error
                case Ended(shard):
                    ended += 1
                    self._show_end(shard)
        self._progress.status = "cancelled" if self._cancelled else "completed"

    def _show_end(self, shard: Shard) -> None:
        """Print what the bars show, where there are none."""
        if not self._console.is_terminal and self._journey.execution_id is not None:
            words = f"shard {shard.progress.shard_id}: {shard.progress.status}, {summary(shard.progress.results)}"
            self._console.print(words, highlight=False, soft_wrap=True)

    def _show(self, failure: Failure) -> None:
        heading = f"FAILED {_name(failure.record)} (shard {failure.shard.progress.shard_id})"
        self._console.print(Text(heading, "bold red"), soft_wrap=True)
        self._console.print(Text(failure.record.get("error", "")), soft_wrap=True)

    def _cancel(self, reason: str) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._console.print(Text(f"Stopping: {reason}", "bold yellow"), soft_wrap=True)
        self._journey.stop.set()

    def _interrupt(self, threads: list[threading.Thread]) -> None:
        self._journey.stop.set()
        if self._journey.execution_id is not None:
            self._console.print(Text(f"Interrupted: cancelling {self._journey.execution_id}", "bold yellow"))
            try:
                with TMSClient(self._options.token, self._options.url, retry=IMPATIENCE) as client:
                    client.cancel_execution(self._journey.execution_id)
            except TMSError as error:
                self._console.print(Text(f"Not cancelled on the server: {error}", "bold red"), soft_wrap=True)
        for thread in threads:
            thread.join()

    def _conclude(self, execution_id: str, seconds: float) -> bool:
        """Print the end: the failed tests, the totals, and where to look. Tell whether the execution has failed."""
        for failure in self._failures:
            words = f"FAILED {_name(failure.record)} (shard {failure.shard.progress.shard_id})"
            self._console.print(Text(words, "red"), soft_wrap=True)
        ours = self._totals()
        self._console.print(Text.assemble(summary(ours), f" in {seconds:.1f} s"), soft_wrap=True)
        try:
            with TMSClient(self._options.token, self._options.url, retry=IMPATIENCE) as client:
                told = client.get_execution(execution_id)
                has_failed = failed_at(client, execution_id) is not None
        except TMSError as error:
            self._console.print(Text(f"The server cannot be asked for the result: {error}", "bold red"), soft_wrap=True)
            return False
        if {**ours, **told.get("results", {})} != ours:
            words = f"The server has other totals: {told['results']}. Did somebody else report to this execution?"
            self._console.print(Text(words, "bold yellow"), soft_wrap=True)
        where = told.get("artifacts", {}).get("reportUrl", "")
        missing = (told.get("plan") or {}).get("missing")
        status = f"{told['status']}, {missing} tests missing" if missing else told["status"]
        self._console.print(Text(f"{execution_id} {status}  {where}"), soft_wrap=True)
        return has_failed

    def _totals(self) -> Counters:
        totals = no_counters()
        for shard in self._shards:
            for name in ("total", "passed", "failed", "skipped", "flaky"):
                totals[name] += shard.progress.results[name]
        return totals


def _name(record: Record) -> str:
    """Print a test as pytest does."""
    return "::".join(dict.fromkeys(filter(None, [record["file"], record["title"]])))
