"""Numbers from a test's latest runs. Outcomes and durations (milliseconds, None where unknown) are newest first."""

from collections.abc import Sequence
from statistics import median

from orchestrator.history.model import Outcome, Past

_FADING = 0.85
_FEWEST_FOR_TREND = 6
_PASSED, _SKIPPED = Outcome.PASSED.value, Outcome.SKIPPED.value


def expected(past: Past) -> float | None:
    """How long a test will take, in milliseconds: the weighted median of its runs, of which newer ones weigh more.

    One outlier changes little, wherever it is; of a lasting change the third run convinces. None if nothing is known.
    """
    if not past.durations:
        return None
    ordered = sorted((duration, _FADING**age) for age, duration in enumerate(past.durations))
    half = sum(weight for _, weight in ordered) / 2
    for duration, weight in ordered:
        half -= weight
        if half <= 0:
            return duration
    return ordered[-1][0]


def trend(durations: Sequence[float | None]) -> float | None:
    """How much longer the newer half of the runs took than the older one, by their medians: 0.5 is half as long again.

    None while there are too few runs to tell, or where the older ones took no time.
    """
    known = [duration for duration in durations if duration is not None]
    if len(known) < _FEWEST_FOR_TREND:
        return None
    middle = len(known) // 2
    older = median(known[middle:])
    return median(known[:middle]) / older - 1 if older else None


def passes_in_a_row(outcomes: str) -> int:
    """How many of the latest runs passed at once, one after the other; skipped ones are left out of account."""
    ran = outcomes.replace(_SKIPPED, "")
    return len(ran) - len(ran.lstrip(_PASSED))
