"""An execution's bars in the terminal, one per shard."""

from dataclasses import dataclass
from time import monotonic

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tms_sdk.progress import ExecutionProgress, ShardProgress
from tms_sdk.records import Counters

BAR_WIDTH = 32

_STYLES = {
    "pending": "dim",
    "created": "dim",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "error": "bold red",
    "lost": "bold red",
    "cancelled": "yellow",
}


@dataclass
class Bars:
    """Draws an execution as it stands whenever rich asks: give it to `rich.live.Live`."""

    progress: ExecutionProgress

    def __post_init__(self) -> None:
        self._began = monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble(
            (self.progress.execution_id, "bold"),
            "  ",
            (self.progress.status, _STYLES.get(self.progress.status, "")),
            f"  {monotonic() - self._began:.0f} s",
        )
        # The last column takes what room is left, so that a test's long name squeezes nothing.
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(justify="right", no_wrap=True, min_width=max(map(len, self._labels()), default=0))
        table.add_column(width=BAR_WIDTH)
        table.add_column(no_wrap=True, min_width=max(map(_width, self.progress.shards.values()), default=0))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for shard in self.progress.shards.values():
            table.add_row(_label(shard), _bar(shard), _numbers(shard), _now(shard))
        yield table

    def _labels(self) -> list[str]:
        return [_label(shard) for shard in self.progress.shards.values()]


def summary(results: Counters) -> Text:
    """Print counters in words: `12 passed, 1 failed`; what is 0 is left out, but for passed."""
    words = [(f"{results['passed']} passed", "green")]
    words += [
        (f"{number} {name}", style)
        for name, number, style in (
            ("failed", results["failed"], "bold red"),
            ("skipped", results["skipped"], "yellow"),
            ("flaky", results["flaky"], "magenta"),
        )
        if number
    ]
    return Text(", ").join(Text(word, style) for word, style in words)


def _label(shard: ShardProgress) -> str:
    return f"shard {shard.shard_id}"


def _width(shard: ShardProgress) -> int:
    return _numbers(shard).cell_len


def _bar(shard: ShardProgress) -> ProgressBar:
    style = "red" if shard.results["failed"] or shard.status in {"error", "lost"} else "green"
    done = shard.results["total"]
    return ProgressBar(
        total=shard.planned or 1,
        completed=(shard.planned or 1) if shard.ended else min(done, shard.planned or 0),
        # Without a plan nobody knows how far a running shard is.
        pulse=shard.status == "running" and shard.planned is None,
        width=BAR_WIDTH,
        complete_style=style,
        finished_style=style,
        pulse_style="cyan",
    )


def _numbers(shard: ShardProgress) -> Text:
    done = shard.results["total"]
    if shard.planned is None:
        return summary(shard.results) if done else Text()
    counted = Text(f"{done}/{shard.planned} ")
    return counted + summary(shard.results) if done else counted


def _now(shard: ShardProgress) -> Text:
    if shard.running and not shard.ended:
        return Text(shard.running, "dim")
    return Text(shard.status, _STYLES.get(shard.status, ""))
