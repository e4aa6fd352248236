"""What history tells of tests at once, many thousands of them: for planning, and for whoever judges results."""

from collections.abc import Sequence

from orchestrator.executions.model import TestSuite
from orchestrator.history.model import Outcome, Past
from storage.postgres import Connection


async def past(
    connection: Connection, suite: TestSuite, branches: Sequence[str], test_ids: Sequence[str]
) -> dict[str, Past]:
    """What is known of these tests; unknown ones are left out.

    How a test ended last is taken from the first branch that has run it, and how long it takes from the first on which
    that is known.

    Args:
        connection: a reader's, for one tenant.
        suite: runs of other suites are left out of account.
        branches: in the order of preference; "" stands for executions without one.
        test_ids: of the tests, as many as there are.
    """
    numbers = {
        row["branch"]: row["suite_branch_id"]
        for row in await connection.fetch(
            "SELECT branch, suite_branch_id FROM suite_branches WHERE test_suite = $1 AND branch = ANY($2)",
            *(suite, branches),
        )
    }
    found: dict[str, Past] = {}
    unsettled = test_ids
    for branch in (one for one in branches if one in numbers):
        rows = await connection.fetch(
            "SELECT test_id, array_remove(durations, NULL), left(outcomes, 1) FROM test_records"
            " WHERE suite_branch_id = $1 AND test_id = ANY($2)",
            *(numbers[branch], unsettled),
        )
        for test, durations, last in rows:
            last_failed = found[test].last_failed if test in found else last == Outcome.FAILED
            found[test] = Past(tuple(durations), last_failed)
        unsettled = [test for test in unsettled if test not in found or not found[test].durations]
    return found


async def quarantined(connection: Connection, test_ids: Sequence[str]) -> set[str]:
    """Those of these tests whose failures do not count at present.

    Args:
        connection: a reader's, for one tenant.
        test_ids: of the tests, as many as there are.
    """
    rows = await connection.fetch(
        "SELECT test_id FROM quarantines WHERE ended_at IS NULL AND expires_at > now() AND test_id = ANY($1)", test_ids
    )
    return {row["test_id"] for row in rows}
