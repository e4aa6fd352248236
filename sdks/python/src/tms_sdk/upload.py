"""`tms upload`: reports of any tool, in JUnit XML or CTRF JSON, as shards of an execution.

The files are sent as they are, and the server reads them: a report means the same by whatever way it comes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tms_sdk import ci
from tms_sdk.bars import summary
from tms_sdk.client import TMSClient
from tms_sdk.errors import ReportError, ReportsRejected, TMSError
from tms_sdk.forms import size_of
from tms_sdk.records import clean
from tms_sdk.wire import FileAnswer

PROVIDER = "tms-upload"

# The server takes this many characters of a reason.
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """A shard of an execution that exists."""

    execution_id: str
    shard_id: str


def upload(
    client: TMSClient, files: Sequence[Path], target: Target | None, suite: str, environment: str, console: Console
) -> None:
    """Send reports: all into the target's shard, or each as one shard of a new execution.

    Nothing is stored of a shard that has a report which cannot be read. A new execution that cannot get all of its
    shards is cancelled, with the reason, so that nobody waits for the rest.

    Raises:
        ReportError: a file cannot be opened, which is found before anything is created, or changes while it is sent.
        ReportsRejected: the server cannot read a report.
        ApiError: the server refuses.
        Unreachable: the server does not answer.
    """
    if target is not None:
        _send(client, target, files, console)
        return
    for file in files:  # what can be told without the server is told before anything is made there
        size_of(file)
    execution_id = client.create_execution(
        {
            "testSuite": suite,
            "environment": environment,
            "provider": PROVIDER,
            "triggerSource": "api" if os.environ.get("CI") else "manual",
            "configuration": {"shards": len(files)},
            "metadata": ci.metadata(os.environ, ci.git_output),
        }
    )["executionId"]
    for number, file in enumerate(files, 1):
        try:
            _send(client, Target(execution_id, str(number)), [file], console)
        except (TMSError, KeyboardInterrupt) as error:
            _cancel(client, execution_id, f"{clean(str(file))}: {_fault(error)}"[:_LONGEST_REASON], console)
            raise


def _send(client: TMSClient, target: Target, files: Sequence[Path], console: Console) -> None:
    stored = client.upload_reports(target.execution_id, target.shard_id, files)
    for answer in stored["files"]:
        _print(answer, console)
    words = Text.assemble(f"{target.execution_id} shard {target.shard_id}: ", summary(stored["results"]))
    console.print(words, soft_wrap=True)


def _print(answer: FileAnswer, console: Console) -> None:
    tests = "1 test" if answer["tests"] == 1 else f"{answer['tests']} tests"
    console.print(Text(f"{answer['file']}: {answer['status']}, {tests} ({answer['format']})"), soft_wrap=True)
    for warning in answer.get("warnings", []):
        console.print(Text(f"  warning: {warning}", "yellow"), soft_wrap=True)


def _cancel(client: TMSClient, execution_id: str, reason: str, console: Console) -> None:
    try:
        client.cancel_execution(execution_id, reason)
    except TMSError as error:
        console.print(Text(f"{execution_id} could not be cancelled: {error}", "bold red"), soft_wrap=True)
    else:
        console.print(Text(f"{execution_id} was cancelled: {reason}", "bold yellow"), soft_wrap=True)


def _fault(error: TMSError | KeyboardInterrupt) -> str:
    """Say in one line why a file is not stored."""
    match error:
        case ReportsRejected():
            return error.files[0].get("error", error.message)
        case ReportError():
            return error.reason
        case KeyboardInterrupt():
            return "the upload was interrupted"
        case _:
            return str(error).partition("\n")[0]
