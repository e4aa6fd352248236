"""Deadlines of many executions."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from actors.deadlines import Deadlines

START = datetime(2026, 11, 21, tzinfo=UTC)
offsets = st.integers(0, 50).map(lambda seconds: START + timedelta(seconds=seconds))
changes = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | offsets))


@given(changes, offsets)
def test_it_agrees_with_a_plain_dictionary(history: list[tuple[str, datetime | None]], now: datetime) -> None:
    deadlines, plain = Deadlines(), dict[str, datetime]()
    for key, moment in history:
        deadlines.set(key, moment)
        plain.pop(key, None)
        if moment is not None:
            plain[key] = moment
        assert deadlines.next() == min(plain.values(), default=None)
    due = sorted(key for key, moment in plain.items() if moment <= now)
    assert sorted(deadlines.pop_due(now)) == due
    assert deadlines.pop_due(now) == []
    assert len(deadlines) == len(plain) - len(due)


def test_a_deadline_is_brought_forward_and_never_put_off() -> None:
    deadlines = Deadlines()
    for seconds, expected in ((5, 5), (7, 5), (3, 3)):
        deadlines.bring_forward("a", START + timedelta(seconds=seconds))
        assert deadlines.next() == START + timedelta(seconds=expected)


def test_what_was_dropped_takes_no_room() -> None:
    deadlines = Deadlines()
    for number in range(100_000):
        deadlines.set(f"exec_{number}", START)
        deadlines.set(f"exec_{number}", None)
    assert len(deadlines._heap) <= 1001
