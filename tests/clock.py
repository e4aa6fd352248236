"""A clock to be passed in."""

from datetime import datetime, timedelta

from tests import orders


class Clock:
    """The time, as the test sets it; it begins with the present."""

    def __init__(self) -> None:
        self.now = orders.now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
