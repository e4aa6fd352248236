"""What is encoded for COPY is what Postgres reads."""

from datetime import UTC, datetime
from io import BytesIO
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.executions.model import TestResult, TestStatus
from storage import result_rows
from storage.postgres import DirectConnection

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["\\N", "\\.", "a\tb\nc\r\nd\\", '{"a",b}', "NULL", "\\x41", " ", "\u2028", "ä"]
)
results = st.builds(
    TestResult,
    title=texts,
    status=st.sampled_from(TestStatus),
    file=st.none() | texts,
    duration_ms=st.none() | st.floats(0, 1e15),
    error=st.none() | texts,
    retries=st.none() | st.integers(0, 2**31 - 1),
    tags=st.lists(texts, max_size=3).map(tuple),
)


async def test_every_text_and_number_comes_back_as_it_was(connection: DirectConnection, tenant: int) -> None:
    batches: list[list[TestResult]] = []

    @settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(results, max_size=5))
    def collect(batch: list[TestResult]) -> None:
        batches.append(batch)

    collect()
    tests = [test for batch in batches for test in batch]
    submission_id = f"sub_{uuid4().hex}"

    rows = result_rows.encode(tenant, submission_id, datetime.now(UTC), tests)
    await connection.copy_to_table("tests", source=BytesIO(rows), columns=result_rows.COLUMNS)

    stored = await connection.fetch("SELECT * FROM tests WHERE submission_id = $1 ORDER BY ordinal", submission_id)
    assert [
        TestResult(
            row["title"],
            TestStatus(row["status"]),
            row["file"],
            row["duration_ms"],
            row["error"],
            row["retries"],
            tuple(row["tags"] or ()),
        )
        for row in stored
    ] == tests
