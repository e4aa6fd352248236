"""How long the tests of suites take: made up, in the shapes that suites have."""

import random
from collections.abc import Callable, Sequence

import msgspec


class Trace(msgspec.Struct, frozen=True):
    """A suite: files with the durations of their tests, in milliseconds."""

    name: str
    files: dict[str, list[float]]

    @property
    def total_ms(self) -> float:
        """Of all tests."""
        return sum(map(sum, self.files.values()))

    @property
    def longest_ms(self) -> float:
        """Of the longest test, which no plan can cut."""
        return max(map(max, self.files.values()))


def traces() -> Sequence[Trace]:
    """The same ones in every run."""
    rnd = random.Random(2026)  # noqa: S311 - made-up durations
    slow = {"tests/test_slow.py": [rnd.uniform(2000, 6000) for _ in range(40)]}
    return (
        Trace("many tiny tests", _files([rnd.randint(10, 60) for _ in range(150)], lambda: rnd.uniform(2, 30))),
        Trace("unit tests", _files([rnd.randint(1, 60) for _ in range(120)], lambda: rnd.lognormvariate(4, 1.4))),
        Trace("few long tests", _files([rnd.randint(1, 4) for _ in range(40)], lambda: rnd.uniform(3000, 40_000))),
        Trace("a heavy tail", _files([rnd.randint(1, 30) for _ in range(90)], lambda: 80 * rnd.paretovariate(1.3))),
        Trace("a slow file", _files([20] * 40, lambda: rnd.uniform(50, 400)) | slow),
    )


def _files(sizes: Sequence[int], duration: Callable[[], float]) -> dict[str, list[float]]:
    return {f"tests/test_{number:03}.py": [duration() for _ in range(size)] for number, size in enumerate(sizes)}
