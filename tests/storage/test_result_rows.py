"""What is encoded for COPY is what Postgres reads."""

from datetime import UTC, datetime
from io import BytesIO
from uuid import uuid4

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.executions.model import Attempt, Property, TestDetails, TestResult, TestStatus
from storage import result_rows
from storage.postgres import DirectConnection

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["\\N", "\\.", "a\tb\nc\r\nd\\", "\r", "\n", "\t", '{"a",b}', "NULL", "\\x41", " ", "\u2028", "ä"]
)
durations = st.none() | st.floats(0, 1e15)
details = st.builds(
    TestDetails,
    attempts=st.lists(st.builds(Attempt, st.sampled_from(TestStatus), durations, texts), max_size=2).map(tuple),
    properties=st.lists(st.builds(Property, texts, texts), max_size=2).map(tuple),
    attachments=st.lists(texts, max_size=2).map(tuple),
)
results = st.builds(
    TestResult,
    title=texts,
    status=st.sampled_from(TestStatus),
    file=st.none() | texts,
    duration_ms=durations,
    error=st.none() | texts,
    retries=st.none() | st.integers(0, 2**31 - 1),
    tags=st.none() | st.lists(texts, min_size=1, max_size=3).map(tuple),
    details=st.none() | details,
)


async def test_every_text_and_number_comes_back_as_it_was(connection: DirectConnection, tenant: int) -> None:
    batches: list[list[TestResult]] = []

    @settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(results, max_size=5))
    def collect(batch: list[TestResult]) -> None:
        batches.append(batch)

    collect()
    run = uuid4().hex
    # Each batch by itself, for a column without anything to escape is written in another way.
    submissions = {f"sub_{run}_{number:04}": batch for number, batch in enumerate(batches)}

    now = datetime.now(UTC)
    rows = b"".join(result_rows.encode(tenant, name, now, batch) for name, batch in submissions.items())
    await connection.copy_to_table("tests", source=BytesIO(rows), columns=result_rows.COLUMNS)

    stored = await connection.fetch(
        "SELECT * FROM tests WHERE starts_with(submission_id, $1) ORDER BY submission_id, ordinal", f"sub_{run}_"
    )
    read: dict[str, list[TestResult]] = {name: [] for name in submissions}
    for row in stored:
        read[row["submission_id"]].append(
            TestResult(
                row["title"],
                TestStatus(row["status"]),
                row["file"],
                row["duration_ms"],
                row["error"],
                row["retries"],
                None if row["tags"] is None else tuple(row["tags"]),
                None if row["details"] is None else msgspec.json.decode(row["details"], type=TestDetails),
            )
        )
    assert read == submissions


def test_an_empty_list_of_tags_is_none() -> None:
    now = datetime.now(UTC)
    without, empty = (TestResult("a", TestStatus.PASSED, tags=tags) for tags in (None, ()))

    assert result_rows.encode(1, "sub_1", now, [empty]) == result_rows.encode(1, "sub_1", now, [without])
