"""`tms watch`: an execution in the terminal, as the server tells it live."""

import asyncio
from contextlib import aclosing, nullcontext

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tms_sdk.bars import Bars, summary
from tms_sdk.client import TMSClient
from tms_sdk.executions import failed_at
from tms_sdk.live import Frame, follow
from tms_sdk.progress import ExecutionProgress

PASSED = 0
FAILED = 1
CANCELLED = 2


def watch(url: str, token: str, execution_id: str, console: Console) -> int:
    """Show an execution until it ends; return 0, 1 (failed or missing tests, or failed as a whole) or 2 (cancelled).

    Failures in quarantine are shown, and do not count.

    Raises:
        ApiError: no right to look, or no such execution.
        Unreachable: the server stays away.
    """
    progress = asyncio.run(show(url, token, execution_id, console))
    if progress.status == "cancelled":
        return CANCELLED
    if progress.status == "failed":
        return FAILED
    with TMSClient(token, url) as client:
        return FAILED if failed_at(client, execution_id) is not None else PASSED


async def show(url: str, token: str, execution_id: str, console: Console) -> ExecutionProgress:
    """Show an execution until it ends: live bars in a terminal, plain lines elsewhere. Return it as it ended."""
    progress = ExecutionProgress(execution_id)
    with Live(Bars(progress), console=console) if console.is_terminal else nullcontext():
        async with aclosing(follow(url, token, execution_id)) as frames:
            async for frame in frames:
                progress.apply(frame)
                if not console.is_terminal:
                    _print_line(frame, progress, console)
    for test in progress.failed_tests:
        words = f"FAILED {test.get('file') or ''} {test.get('title', '')} (shard {test.get('shard', '?')})"
        console.print(Text(words, "red"), soft_wrap=True)
    ended = Text.assemble(f"{execution_id} {progress.status}: ", summary(progress.results))
    console.print(ended, soft_wrap=True)
    return progress


def _print_line(frame: Frame, progress: ExecutionProgress, console: Console) -> None:
    """Print what a frame tells: a line for the state at first, then one for each event but those that feed bars.

    These come as often as runners report.
    """
    if frame["type"] == "snapshot":
        words = f"{progress.execution_id} {progress.status}, {len(progress.shards)} shards"
    elif frame["type"] == "event" and frame["event"] in {"shard.claimed", "shard.progress"}:
        return
    elif frame["type"] == "event" and frame["event"].startswith("shard."):
        shard = progress.shard(frame["data"]["shardId"])
        words = f"shard {shard.shard_id}: {shard.status}"
        words += f", {summary(shard.results)}" if shard.ended else ""
    elif frame["type"] == "event" and not (frame.get("data") or {}).get("reported"):
        words = f"{frame['event']}: {summary(progress.results)}"
    else:
        return
    console.print(words, highlight=False, markup=False, soft_wrap=True)
