"""Made-up results that look like those of a real suite: 50 distinct tests a submission, a few failed with a stack."""

from datetime import datetime
from functools import cached_property
from random import Random
from typing import Any

import msgspec

TESTS = 50
"""Tests in a submission."""

KINDS = 64
"""Different submissions; what is sent takes one after the other."""

FIRST_NUMBER = 1_000_000_000
"""Every submission sends another number as its `results.total`, from this one up, so that each can be told apart."""

Record = tuple[object, ...]

_AREAS = ("checkout", "search", "account", "catalogue", "payments", "shipping", "reviews", "basket", "login", "admin")
_ACTIONS = ("shows", "rejects", "saves", "restores", "sorts", "translates", "caches", "exports", "validates", "hides")
_THINGS = (
    "an empty list",
    "a voucher",
    "two addresses",
    "an expired card",
    "a guest order",
    "the last page",
    "a draft",
)
_CASES = ("on a phone", "after a reload", "with 1,000 rows", "in a second tab", "without a session", "while offline")
_TAGS = ("smoke", "slow", "payments", "nightly", "a11y")


class Test(msgspec.Struct, omit_defaults=True):
    """One test as `POST /api/results` takes it."""

    title: str
    file: str
    status: str
    duration: float
    error: str | None = None
    retries: int | None = None
    tags: list[str] | None = None


class Form:
    """One kind of submission: its tests, and its body with places for what differs."""

    def __init__(self, kind: int) -> None:
        random = Random(kind)  # noqa: S311 - made-up tests, the same in every run
        self.tests = [_test(random, kind, ordinal) for ordinal in range(1, TESTS + 1)]

    def body(self, execution_id: str, shard: int, number: int) -> bytes:
        """The body of `POST /api/results`; the number makes it unlike any other."""
        return b'{"executionId":"%b","shardId":"%d","results":{"total":%d,%b' % (
            execution_id.encode(),
            shard,
            number,
            self._rest,
        )

    def records(self, submission_id: str, reported_at: datetime) -> list[Record]:
        """The rows of `tests` that such a submission becomes, in the order of `storage.result_rows.COLUMNS`."""
        return [
            (
                *(1, submission_id, reported_at, ordinal, test.title, test.file, test.status, test.duration),
                *(test.error, test.retries, test.tags, None),
            )
            for ordinal, test in enumerate(self.tests, 1)
        ]

    @cached_property
    def counters(self) -> dict[str, int]:
        """The counters besides `total`."""
        counted = {status: sum(test.status == status for test in self.tests) for status in _STATUSES}
        flaky = sum(test.status == "passed" and bool(test.retries) for test in self.tests)
        return counted | {"flaky": flaky}

    @cached_property
    def _rest(self) -> bytes:
        document: dict[str, Any] = {
            "provider": "github-actions",
            "status": "completed",
            "tests": self.tests,
            "artifacts": {"screenshots": ["basket.png"], "videos": [], "traces": [], "logs": ["runner.log"]},
            "metadata": {
                "startTime": "2026-01-05T08:15:00.000Z",
                "endTime": "2026-01-05T08:17:31.250Z",
                "duration": 151_250,
                "browser": "chromium",
                "viewport": "1280x720",
            },
        }
        # Without their opening braces: what comes before opens them.
        return msgspec.json.encode(self.counters)[1:] + b"," + msgspec.json.encode(document)[1:]


def forms() -> list[Form]:
    """All kinds."""
    return [Form(kind) for kind in range(KINDS)]


_STATUSES = ("passed", "failed", "skipped")


def _test(random: Random, kind: int, ordinal: int) -> Test:
    area = random.choice(_AREAS)
    title = f"{area}: {random.choice(_ACTIONS)} {random.choice(_THINGS)} {random.choice(_CASES)} ({kind}.{ordinal})"
    test = Test(
        title=title,
        file=f"tests/{area}/{random.choice(_ACTIONS)}-{random.randrange(40)}.spec.ts",
        status=random.choices(_STATUSES, weights=(93, 4, 3))[0],
        duration=round(random.lognormvariate(6.5, 1.0), 1),
    )
    if test.status == "failed":
        test.error = _error(random, area)
        test.retries = 1
    elif random.random() < 0.02:
        test.retries = 1
    if random.random() < 0.3:
        test.tags = random.sample(_TAGS, 2)
    return test


def _error(random: Random, area: str) -> str:
    frames = "\n".join(
        f"    at {random.choice(_ACTIONS)} (tests/{area}/page.ts:{random.randrange(900)}:{random.randrange(80)})"
        for _ in range(8)
    )
    return f"Error: expect(locator).toHaveText(expected) failed\n\nExpected: 3 items\nReceived: 2 items\n{frames}"
