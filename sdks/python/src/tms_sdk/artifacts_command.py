"""`tms artifacts upload`: files that a shard left behind, sent to its execution."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tms_sdk.client import TMSClient
from tms_sdk.forms import size_of

KINDS = ("screenshots", "videos", "traces", "logs")

HELP = """\
Send files that a shard left behind: screenshots, videos, traces, logs. What a file is, its name tells, or --kind.

Large files go in parts. After a failure, the same command sends only what the server does not have yet; a file that is
there already is not sent at all.
"""

EXAMPLES = """\
examples:
  tms artifacts upload exec_20250804123456 --shard 1 test-results/*.png
  tms artifacts upload exec_20250804123456 --shard 1 --test "logs in" --attempt 2 --kind traces trace.zip

exit codes:
  0  the server has the files
  2  interrupted
  3  the server refuses or does not answer
  4  wrong usage, or a file that cannot be read
"""


def upload(
    client: TMSClient, execution_id: str, shard_id: str, files: Sequence[Path], binding: dict[str, str | int]
) -> None:
    """Send files, and print what became of each.

    Raises:
        ReportError: one cannot be read, which is found before any is sent.
        ApiError: the server refuses.
        Unreachable: the server does not answer.
    """
    console = Console()
    for file in files:
        size_of(file)
    for file in files:
        stored = client.upload_artifact(execution_id, shard_id, file, **binding)
        told = f"{file}: {stored['status']}, {stored['size']} bytes ({stored['kind']}) {stored['artifactId']}"
        console.print(Text(told), soft_wrap=True)
