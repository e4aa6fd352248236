"""How much a run measures."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times of a run.

    Attributes:
        rounds: how often server and floors take turns, so that a drift of the machine meets both.
        seconds, warm_seconds: of each turn of the server; what is answered in the warm-up does not count.
        copied_rows: rows of each turn of the bare COPY.
        connections, executions: of the load.
        calls: of each turn with one connection, on each side.
        few, many, most: running executions between which the cost of a submission is compared.
        stored_rows: with which the cost of a submission is compared to empty tables.
        readers, rate: websocket readers, and submissions a second.
    """

    rounds: int
    seconds: float
    warm_seconds: float
    copied_rows: int
    connections: int
    executions: int
    calls: int
    few: int
    many: int
    most: int
    stored_rows: int
    readers: int
    rate: float


FULL = Scale(
    rounds=3,
    seconds=10.0,
    warm_seconds=2.0,
    copied_rows=500_000,
    connections=128,
    executions=1000,
    calls=500,
    few=10,
    many=1000,
    most=10_000,
    stored_rows=5_000_000,
    readers=500,
    rate=200.0,
)

QUICK = Scale(
    rounds=1,
    seconds=1.0,
    warm_seconds=0.3,
    copied_rows=50_000,
    connections=128,
    executions=200,
    calls=100,
    few=10,
    many=50,
    most=200,
    stored_rows=50_000,
    readers=50,
    rate=50.0,
)
