"""How much a run of `benchmarks.live` measures."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times of a run.

    Attributes:
        rounds: how often the server, the server beside a stalled reader, and the floor take turns.
        seconds, warm_seconds: of each turn; what is committed in the warm-up does not count.
        executions: that something happens in.
        readers: of all of them together.
        rate: events a second in each execution.
        viewed_tests: of the execution that a browser looks at.
    """

    rounds: int
    seconds: float
    warm_seconds: float
    executions: int
    readers: int
    rate: float
    viewed_tests: int


FULL = Scale(rounds=3, seconds=15.0, warm_seconds=3.0, executions=10, readers=1000, rate=50.0, viewed_tests=50_000)

QUICK = Scale(rounds=1, seconds=3.0, warm_seconds=1.0, executions=2, readers=100, rate=10.0, viewed_tests=2_000)
