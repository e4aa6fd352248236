"""How much a run of `benchmarks.runners` measures."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times of a run.

    Attributes:
        rounds: how often all sides take turns.
        runners: that claim at the same time.
        claims: of each runner in a turn.
        pause_seconds: between two claims of a runner.
        few_tests, many_tests: planned tests between which claims are compared.
        tiny_tests: of the suite by which the plugin's overhead is measured.
        real_seconds: what all tests of the suite take together that is run by several processes.
    """

    rounds: int
    runners: int
    claims: int
    pause_seconds: float
    few_tests: int
    many_tests: int
    tiny_tests: int
    real_seconds: float


FULL = Scale(
    rounds=3,
    runners=500,
    claims=6,
    pause_seconds=5.0,
    few_tests=100,
    many_tests=100_000,
    tiny_tests=5000,
    real_seconds=160.0,
)

QUICK = Scale(
    rounds=1,
    runners=50,
    claims=3,
    pause_seconds=0.5,
    few_tests=100,
    many_tests=5000,
    tiny_tests=500,
    real_seconds=8.0,
)
