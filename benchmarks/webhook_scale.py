"""How much a run of `benchmarks.webhooks` measures."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times of a run.

    Attributes:
        rounds: how often all sides take turns, so that a drift of the machine meets each.
        backlog: deliveries of each turn of each side.
        each: deliveries to each endpoint of a turn with or without dead ones.
        rate: deliveries a second to each endpoint in turns that measure the delay.
        seconds: of each turn that measures the delay.
        few, many: pending rows between which the time of a claim is compared.
        claims: of each measurement.
        events: single events, of which the first attempt is awaited.
    """

    rounds: int
    backlog: int
    each: int
    rate: float
    seconds: float
    few: int
    many: int
    claims: int
    events: int


FULL = Scale(
    rounds=3,
    backlog=10_000,
    each=1000,
    rate=25.0,
    seconds=15.0,
    few=1000,
    many=1_000_000,
    claims=500,
    events=300,
)

QUICK = Scale(
    rounds=1,
    backlog=400,
    each=20,
    rate=2.0,
    seconds=2.0,
    few=1000,
    many=20_000,
    claims=30,
    events=20,
)
