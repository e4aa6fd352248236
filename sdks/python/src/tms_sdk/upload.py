"""`tms upload`: JUnit XML reports of any tool, as shards of an execution."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tms_sdk import ci, junit
from tms_sdk.bars import summary
from tms_sdk.client import TMSClient
from tms_sdk.records import Record, count

PROVIDER = "tms-upload"


@dataclass(frozen=True, slots=True)
class Target:
    """A shard of an execution that exists."""

    execution_id: str
    shard_id: str


def upload(
    client: TMSClient, files: Sequence[Path], target: Target | None, suite: str, environment: str, console: Console
) -> None:
    """Send reports: all into the target's shard, or each as one shard of a new execution.

    All files are read before anything is sent, so a report that cannot be read leaves nothing behind.

    Raises:
        ReportError: a file cannot be read.
        ApiError: the server refuses.
        Unreachable: the server does not answer.
    """
    reports = [(file, list(junit.read(file))) for file in files]
    if target is not None:
        tests = [test for _, report in reports for test in report]
        _submit(client, target, tests, [str(file) for file in files], console)
        return
    execution = client.create_execution(
        {
            "testSuite": suite,
            "environment": environment,
            "provider": PROVIDER,
            "triggerSource": "api" if os.environ.get("CI") else "manual",
            "configuration": {"shards": len(reports)},
            "metadata": ci.metadata(os.environ, ci.git_output),
        }
    )
    for number, (file, report) in enumerate(reports, 1):
        _submit(client, Target(execution["executionId"], str(number)), report, [str(file)], console)


def _submit(client: TMSClient, target: Target, tests: list[Record], sources: list[str], console: Console) -> None:
    counters = count(tests)
    client.submit_results(
        target.execution_id,
        target.shard_id,
        {
            "provider": PROVIDER,
            "summary": counters,
            "tests": tests,
            "duration": sum(test.get("duration", 0) for test in tests),
            "metadata": {"reports": sources},
        },
    )
    words = Text.assemble(f"{target.execution_id} shard {target.shard_id}: {', '.join(sources)}: ", summary(counters))
    console.print(words, soft_wrap=True)
