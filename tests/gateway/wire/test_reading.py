"""Bodies and queries: what is read, and how every fault is named."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.executions import CreateExecution, ExecutionQuery
from gateway.wire.inbound_events import AnyInboundEvent
from gateway.wire.listings import TestQuery
from gateway.wire.reading import FREE_BYTES, BodyReader, QueryReader, data_text, metadata_text
from gateway.wire.results import ResultSubmission
from orchestrator.errors import BadRequest, ValidationFailed
from orchestrator.executions.model import Environment, TestSuite

creations = BodyReader(CreateExecution)
submissions = BodyReader(ResultSubmission)
events: BodyReader[Any] = BodyReader(AnyInboundEvent)  # type: ignore[arg-type] # a union is no type to mypy

CREATION: dict[str, Any] = {
    "testSuite": "smoke",
    "environment": "staging",
    "provider": "custom-ci",
    "triggerSource": "api",
    "configuration": {"browsers": ["chromium"], "parallel": True, "shards": 4, "timeout": 1000, "retries": 2},
    "metadata": {"branch": "main"},
}
SUBMISSION: dict[str, Any] = {
    "executionId": "exec_1",
    "shardId": "1",
    "provider": "custom-runner",
    "status": "completed",
    "results": {"total": 2, "passed": 1, "failed": 1, "skipped": 0, "flaky": 0},
    "tests": [
        {
            "title": "one",
            "file": "a.js",
            "status": "passed",
            "duration": 5,
            "error": None,
            "retries": 0,
            "tags": ["@a"],
        },
        {"title": "two", "status": "failed"},
    ],
    "artifacts": {"screenshots": ["a.png"], "videos": [], "traces": None, "logs": ["a.log"]},
    "metadata": {"browser": "chromium", "startTime": "2025-08-04T12:35:00.000Z", "duration": 5.5},
}


def faults(reader: BodyReader[Any], body: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as refused:
        reader.read(body if isinstance(body, bytes) else json.dumps(body).encode())
    return {detail.field: detail.message for detail in refused.value.details}


def changed(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(body))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def written(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


# Each known field with values that it may not have.
WRONG: dict[tuple[str | int, ...], list[Any]] = {
    ("executionId",): [5, None, "", "x" * 65],
    ("shardId",): [1.5, None, True, [], "", -1, 2**31],
    ("provider",): [5, "", [], "x" * 201],
    ("status",): ["passed", None, 1, "Completed"],
    ("results", "total"): [-1, "5", 2**31, 1.5, True, 10**30],
    ("results", "flaky"): ["", [], -0.5],
    ("tests", 0, "title"): [None, 5],
    ("tests", 0, "status"): ["broken", None, 3],
    ("tests", 0, "duration"): [-1, "5", 1e300, True],
    ("tests", 0, "tags"): ["@a", {"a": 1}],
    ("tests", 1, "error"): [{"message": "x"}, 5],
    ("tests", 1, "retries"): [-1, 0.5],
    ("artifacts", "logs"): ["a.log", 5],
    ("artifacts", "videos"): [{}],
    ("metadata", "startTime"): [
        "yesterday",
        "2025-08-04T12:35:00",
        5,
        "0001-01-01T00:00:00+01:00",
        "9999-01-01T00:00:00Z",
    ],
    ("metadata", "duration"): [-1, "5 s"],
}


@st.composite
def broken_submissions(draw: st.DrawFn) -> tuple[Any, set[str]]:
    paths = draw(st.sets(st.sampled_from(sorted(WRONG, key=str)), min_size=1, max_size=5))
    body = SUBMISSION
    for path in paths:
        body = changed(body, path, draw(st.sampled_from(WRONG[path])))
    return body, {written(path) for path in paths}


@given(broken_submissions())
@pytest.mark.contract("X-079")
def test_every_wrong_field_is_named_and_no_other(broken: tuple[Any, set[str]]) -> None:
    body, fields = broken

    assert set(faults(submissions, body)) == fields


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.sampled_from([*SUBMISSION, "total", "title", "x"]), inside),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*SUBMISSION, "event", "timestamp", "data"]), json_values) | json_values)
def test_any_json_is_read_or_refused_with_its_fields(value: Any) -> None:
    raw = msgspec.json.encode(value)

    for reader in (submissions, creations, events):
        assert refusal(reader, raw) != ()


def refusal(reader: BodyReader[Any], raw: bytes) -> object:
    """What a body is refused with: its faults, or that it is unreadable; None if it is read."""
    try:
        reader.read(raw)
    except ValidationFailed as refused:
        return refused.details
    except BadRequest as refused:
        return refused
    return None


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises((BadRequest, ValidationFailed)):
        submissions.read(raw)


@pytest.mark.contract("X-078", "X-079", "X-011", "X-012")
def test_words_that_may_stand_in_a_field_are_listed() -> None:
    assert faults(creations, CREATION | {"testSuite": "nightly", "environment": "qa"}) == {
        "testSuite": "Must be one of: smoke, regression, api, ui, all",
        "environment": "Must be one of: dev, staging, production",
    }


@pytest.mark.contract("X-011", "X-061")
def test_missing_fields_are_required() -> None:
    assert faults(creations, {}) == {"testSuite": "Required", "environment": "Required", "provider": "Required"}
    assert faults(submissions, {}) == {"executionId": "Required", "shardId": "Required", "status": "Required"}


@pytest.mark.contract("X-016")
@pytest.mark.parametrize("shards", [0, -1, "4x", 100_000, 1.5, True])
def test_shards_outside_the_limits_are_refused(shards: object) -> None:
    assert list(faults(creations, changed(CREATION, ("configuration", "shards"), shards))) == ["configuration.shards"]


@pytest.mark.contract("X-014", "X-015")
def test_lists_name_the_wrong_entry() -> None:
    body = changed(CREATION, ("configuration", "browsers"), ["chromium", "ie6"]) | {"triggerSource": "cron"}

    assert faults(creations, body) == {
        "configuration.browsers[1]": "Must be one of: chromium, firefox, webkit",
        "triggerSource": "Must be one of: api, manual, scheduled",
    }


@pytest.mark.contract("X-054", "X-057")
def test_what_may_be_left_out_may_be_null_too() -> None:
    for name in ("provider", "results", "tests", "artifacts", "metadata"):
        submissions.read(json.dumps(SUBMISSION | {name: None}).encode())
    read = submissions.read(
        json.dumps(SUBMISSION | {"results": {"total": None}, "metadata": {"startTime": None}}).encode()
    )

    assert read.results is not None
    assert read.results.sent().is_empty()
    assert (
        creations.read(json.dumps(CREATION | {"configuration": None, "metadata": None}).encode()).configuration is None
    )


def test_whole_numbers_may_be_written_with_a_point() -> None:
    body = changed(SUBMISSION, ("results", "total"), 5.0) | {"shardId": 2.0}

    read = submissions.read(json.dumps(body).encode())

    assert read.results is not None
    assert (read.results.total, read.shard_id) == (5, 2)


def test_unknown_fields_do_no_harm() -> None:
    submissions.read(json.dumps(SUBMISSION | {"$schema": "x", "extra": {"deep": [1, {}]}}).encode())


@pytest.mark.contract("X-046")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-08-04T12:34:56Z", datetime(2025, 8, 4, 12, 34, 56, tzinfo=UTC)),
        ("2025-08-04T12:34:56.789Z", datetime(2025, 8, 4, 12, 34, 56, 789000, tzinfo=UTC)),
        ("2025-08-04T12:34:56.789123Z", datetime(2025, 8, 4, 12, 34, 56, 789123, tzinfo=UTC)),
        ("2025-08-04T12:34:56.789123456Z", datetime(2025, 8, 4, 12, 34, 56, 789123, tzinfo=UTC)),
        ("2025-08-04T14:34:56+02:00", datetime(2025, 8, 4, 12, 34, 56, tzinfo=UTC)),
    ],
)
def test_timestamps_have_any_fraction_and_offset(text: str, moment: datetime) -> None:
    event = events.read(json.dumps({"event": "execution.started", "timestamp": text}).encode())

    assert event.at.astimezone(UTC) == moment


@pytest.mark.contract("X-045")
def test_an_unknown_event_is_refused_with_those_that_are() -> None:
    refused = faults(events, {"event": "foo", "timestamp": "2025-08-04T12:34:56Z"})

    assert refused["event"].startswith("Must be one of: execution.started, execution.progress, shard.started")
    assert faults(events, {"timestamp": "2025-08-04T12:34:56Z"}) == {"event": "Required"}
    assert faults(events, {"event": "shard.started"}) == {"timestamp": "Required", "data": "Required"}
    assert faults(events, {"event": "shard.completed", "timestamp": "now", "data": {}}) == {
        "timestamp": "Must be a timestamp with its offset, such as 2025-08-04T12:34:56.789Z",
        "data.shardId": "Required",
    }


@pytest.mark.contract("X-080")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'testSuite': 'smoke'}",
        b'{"testSuite": "smoke",}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"provider": "\xff"}',
        b'{"provider": "\\ud800"}',
        b'{"provider": NaN}',
        b'{"extra": "\xff"}',
        b'{"metadata": {"\\udc00": 1}}',
        b'{"testSuite": 5, "metadata": {"\\ud800": 1}}',
        b"[" * 100_000,
        b'{"metadata":' * 100_000,
        b'{"testSuite": 5, "x":' + b"[" * 100_000,
        b'{"testSuite": 5, ',
    ],
)
def test_what_cannot_be_read_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        creations.read(raw)


def test_nul_characters_are_refused_where_they_are() -> None:
    body = changed(CREATION, ("metadata", "branch"), "a\0b") | {"provider": "\0"}

    assert set(faults(creations, body)) == {"metadata.branch", "provider"}
    assert faults(creations, changed(CREATION, ("metadata", "a\0b"), 1)) == {
        "metadata": "Must not contain the NUL character"
    }


def test_a_text_that_speaks_of_nul_is_no_nul() -> None:
    read = creations.read(json.dumps(CREATION | {"provider": "\\u0000"}).encode())

    assert read.provider == "\\u0000"


def test_a_body_of_another_shape_is_named_as_such() -> None:
    assert faults(creations, b"[]") == {"body": "Must be an object"}
    assert faults(creations, b"5") == {"body": "Must be an object"}


def test_numbers_of_any_size_are_no_server_error() -> None:
    assert list(faults(creations, b'{"testSuite":"smoke","environment":"dev","provider":' + b"9" * 5000 + b"}")) == [
        "provider"
    ]
    assert list(faults(submissions, json.dumps(SUBMISSION).encode().replace(b'"total": 2', b'"total": 1e999'))) == [
        "results.total"
    ]


def test_few_faults_of_many_are_told() -> None:
    body = SUBMISSION | {"tests": [{"title": "x", "status": "broken"}] * 10_000}

    assert len(faults(submissions, body)) == 100


@pytest.mark.contract("X-017")
def test_free_objects_are_kept_as_they_were_written() -> None:
    raw = b'{"a": 1, "metadata": {"b":  1.0, "big": 123456789012345678901234567890, "e": "\\u00e9"} , "data": null}'

    assert metadata_text(raw) == '{"b":  1.0, "big": 123456789012345678901234567890, "e": "\\u00e9"}'
    assert data_text(raw) is None
    assert metadata_text(b"{}") is None


def test_free_objects_have_a_limit() -> None:
    raw = json.dumps({"metadata": {"a": "x" * FREE_BYTES}}).encode()

    with pytest.raises(ValidationFailed) as refused:
        metadata_text(raw)
    assert refused.value.details[0].field == "metadata"


def test_a_query_is_read_by_its_types() -> None:
    read = QueryReader(ExecutionQuery).read(
        {"testSuite": "smoke", "environment": "dev", "from": "2025-08-04T12:00:00Z", "limit": "7", "other": "x"}
    )

    assert (read.test_suite, read.environment, read.limit) == (TestSuite.SMOKE, Environment.DEV, 7)
    assert read.created_from == datetime(2025, 8, 4, 12, tzinfo=UTC)
    assert QueryReader(TestQuery).read({"flaky": "true", "shard": "3"}).flaky is True


def test_every_wrong_parameter_of_a_query_is_named() -> None:
    with pytest.raises(ValidationFailed) as refused:
        QueryReader(TestQuery).read(
            {
                "shard": "x",
                "status": "broken",
                "flaky": "maybe",
                "q": "a\0",
                "file": "\ud800",
                "limit": "0",
                "attempts": "",
            }
        )

    fields = {detail.field for detail in refused.value.details}
    assert fields == {"q", "file", "shard", "status", "flaky", "attempts", "limit"}
