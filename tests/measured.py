"""One number among the metrics that something exports."""

from collections.abc import Iterable

from prometheus_client import Metric


def measured(families: Iterable[Metric], series: str, **labels: str) -> float | None:
    """The value of a series that has at least these labels; None if there is none."""
    for family in families:
        for sample in family.samples:
            if sample.name == series and labels.items() <= sample.labels.items():
                return sample.value
    return None
