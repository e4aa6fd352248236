"""Single tests of a running shard: what of them the rules need to know, and what is answered for each.

A letter for each test says how it ended, and a letter how it was taken, so that a thousand tests are two short strings.
"""

from collections.abc import Sequence
from enum import StrEnum

from orchestrator.executions.commands import Placed
from orchestrator.executions.model import TestOutcome, TestStatus, Totals
from orchestrator.executions.plan import MAX_UNEXPECTED, Deal

_FLAKY = "k"


class Taken(StrEnum):
    """How a test was taken; the letter is the word's first."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    REJECTED = "rejected"

    @property
    def letter(self) -> str:
        """In `Receipt.outcomes`."""
        return self.value[0]


BY_LETTER = {taken.letter: taken for taken in Taken}


def status_letters(tests: Sequence[TestOutcome]) -> str:
    """How each test ended, in `Stream.tests`; one that passed, but not at once, has a letter of its own."""
    return "".join(
        _FLAKY if test.status is TestStatus.PASSED and test.retries else test.status.value[0] for test in tests
    )


def count(letters: str) -> Totals:
    """The totals of tests by their letters."""
    flaky = letters.count(_FLAKY)
    passed, failed, skipped = (letters.count(status.value[0]) for status in TestStatus)
    return Totals(len(letters), passed + flaky, failed, skipped, flaky)


def taken(deal: Deal, placed: Placed) -> str:
    """How each test is taken from a runner whose word counts: the first report of each does."""
    reported, unexpected = deal.reported, set(deal.unexpected)
    letters = []
    for place, fingerprint in zip(placed.places, placed.fingerprints, strict=True):
        if place >= 0:
            is_known = reported >> place & 1
            reported |= 1 << place
        else:
            is_known = fingerprint in unexpected
            if not is_known and len(unexpected) >= MAX_UNEXPECTED:
                letters.append(Taken.REJECTED.letter)
                continue
            unexpected.add(fingerprint)
        letters.append(Taken.DUPLICATE.letter if is_known else Taken.ACCEPTED.letter)
    return "".join(letters)


def planned(placed: Placed) -> int:
    """The set of planned tests among some."""
    tests = 0
    for place in placed.places:
        if place >= 0:
            tests |= 1 << place
    return tests


def unplanned(placed: Placed) -> frozenset[int]:
    """Fingerprints of those that the plan does not have, as many as are told apart."""
    found = [one for place, one in zip(placed.places, placed.fingerprints, strict=True) if place < 0]
    return frozenset(found[:MAX_UNEXPECTED])


def accepted(letters: str, outcomes: str) -> str:
    """Of a letter for each test, those of the tests that were accepted."""
    return "".join(
        letter for letter, outcome in zip(letters, outcomes, strict=True) if outcome == Taken.ACCEPTED.letter
    )


def chosen(placed: Placed, outcomes: str) -> Placed:
    """Only the tests that were accepted."""
    kept = [number for number, letter in enumerate(outcomes) if letter == Taken.ACCEPTED.letter]
    return Placed(tuple(placed.places[one] for one in kept), tuple(placed.fingerprints[one] for one in kept))
