"""Test rows: what goes into COPY comes out of the table, whatever text strangers write."""

import asyncio
from io import BytesIO

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import ids
from orchestrator.executions.model import TestResult, TestStatus
from server.parts import Stores
from storage import postgres, result_rows
from storage.postgres import DirectConnection
from tests import orders

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
hostile = st.sampled_from(["\\.", "\\N", "\t", "\n", "\r\n", '"', "{}", "{,}", "\\", "'", "\u202e", "\U0001f4a3"])
results = st.builds(
    TestResult,
    title=texts | hostile,
    status=st.sampled_from(TestStatus),
    file=st.none() | texts | hostile,
    duration_ms=st.none() | st.floats(0, 1e12) | st.integers(0, 10**9),
    error=st.none() | texts | hostile,
    retries=st.none() | st.integers(0, 1000),
    tags=st.lists(texts | hostile, max_size=4).map(tuple),
)


async def round_trip(connection: DirectConnection, tests: list[TestResult]) -> list[TestResult]:
    at = orders.now()
    submission_id = ids.new_id("sub", at)
    rows = result_rows.encode(1, submission_id, at, tests)
    await connection.copy_to_table("tests", source=BytesIO(rows), columns=result_rows.COLUMNS)
    found = await connection.fetch("SELECT * FROM tests WHERE submission_id = $1 ORDER BY ordinal", submission_id)
    assert [row["ordinal"] for row in found] == list(range(1, len(tests) + 1))
    assert all(row["reported_at"] == at for row in found)
    return [
        TestResult(
            row["title"],
            TestStatus(row["status"]),
            row["file"],
            row["duration_ms"],
            row["error"],
            row["retries"],
            tuple(row["tags"] or ()),
        )
        for row in found
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(tests=st.lists(results, min_size=1, max_size=5))
def test_rows_come_back_as_they_went_in(stores: Stores, tests: list[TestResult]) -> None:
    async def check() -> None:
        connection = await postgres.connect(stores.database_url)
        try:
            assert await round_trip(connection, tests) == tests
        finally:
            await connection.close()

    asyncio.run(check())
