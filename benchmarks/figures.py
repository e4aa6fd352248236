"""Figures of a benchmark: what was measured, what it is held against, and whether that is good enough."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

NONE = "value <= 0"
WIDTH = 140
RESULTS = Path(__file__).parent / "results"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table and of the JSON.

    Attributes:
        value: as measured, in `unit`.
        floor: what it is held against, in the same unit, measured in the same run; None where there is nothing.
        ratio: value by floor.
        target: what is asked, such as `ratio >= 0.5`; None where the figure is only told.
        met: whether the target is met; None without one.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None

    @property
    def is_loss(self) -> bool:
        """Whether it counts what may not happen at all, and did."""
        return self.target == NONE and not self.met


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    floor: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """A figure with its ratio; the target is for the ratio where there is a floor, else for the value."""
    ratio = value / floor if floor else None
    measured = value if floor is None else (math.inf if ratio is None else ratio)
    target, met = None, None
    subject = "value" if floor is None else "ratio"
    if at_least is not None:
        target, met = f"{subject} >= {at_least:g}", measured >= at_least
    elif at_most is not None:
        target, met = f"{subject} <= {at_most:g}", measured <= at_most
    return Figure(name=name, value=value, unit=unit, floor=floor, ratio=ratio, target=target, met=met)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed; values need not be sorted, but there must be some."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return percentile(values, 0.5)


def make_console() -> Console:
    """Standard output; as wide as a table may get where it is a file, since that cannot be known from it."""
    return Console(width=None if Console().is_terminal else WIDTH)


def show(title: str, figures: Sequence[Figure], console: Console) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    for name in ("value", "floor", "", "ratio", "target"):
        table.add_column(name, justify="right" if name in ("value", "floor", "ratio") else "left", no_wrap=True)
    for one in figures:
        colour = {None: "default", True: "green", False: "red"}[one.met]
        verdict = "" if one.target is None else f"[{colour}]{one.target}: {'yes' if one.met else 'no'}[/]"
        table.add_row(one.name, _number(one.value), _number(one.floor), one.unit, _number(one.ratio), verdict)
    console.print(table)


def write(name: str, figures: Sequence[Figure]) -> Path:
    """Write `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    return path


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
