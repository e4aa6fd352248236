"""CTRF JSON: what it tells, what is left out of account, what is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UnreadableReport
from orchestrator.executions.formats import ctrf
from orchestrator.executions.formats.reading import read
from orchestrator.executions.formats.report import Report
from orchestrator.executions.model import Attempt, Property, TestDetails, TestResult, TestStatus

PASSED, FAILED, SKIPPED = TestStatus
TEST = {"name": "a", "status": "passed", "duration": 5}


def document(*tests: Any, **fields: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("tests", "passed", "failed", "skipped", "pending", "other"), 0)
    results = {"tool": {"name": "jest"}, "summary": counts | {"start": 1000, "stop": 3500}, "tests": tests}
    return {"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results} | fields


def read_document(content: Any) -> Report:
    return read(msgspec.json.encode(content))


def read_test(**fields: Any) -> TestResult:
    report = read_document(document(TEST | fields))
    assert report.warnings == ()
    return report.tests[0]


def test_a_report_is_read() -> None:
    report = read_document(document(TEST, TEST | {"name": "b"}))

    assert [test.title for test in report.tests] == ["a", "b"]
    assert (report.format, report.tool, report.duration_ms, report.warnings) == ("ctrf", "jest", 2500.0, ())
    assert report.tests[0] == TestResult("a", PASSED, duration_ms=5.0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("passed", PASSED), ("failed", FAILED), ("skipped", SKIPPED), ("pending", SKIPPED), ("other", SKIPPED)],
)
def test_statuses_are_those_of_the_specification(status: str, expected: TestStatus) -> None:
    assert read_test(status=status).status is expected


def test_tags_labels_and_attachments_are_kept() -> None:
    test = read_test(
        tags=["@smoke", " @smoke", "slow"],
        labels={"owner": "ann", "priority": 1, "automated": True, "jira": ["A-1", "A-2"]},
        attachments=[{"name": "shot", "contentType": "image/png", "path": "shots/a.png"}],
        filePath="a.spec.js",
    )

    assert (test.tags, test.file) == (("@smoke", "slow"), "a.spec.js")
    values = (("owner", "ann"), ("priority", "1"), ("automated", "true"), ("jira", "A-1"), ("jira", "A-2"))
    assert test.details == TestDetails(
        properties=tuple(Property(name, value) for name, value in values), attachments=("shots/a.png",)
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"message": "no"}, "no"),
        ({"trace": "Error: no\n at a.js:1"}, "Error: no\n at a.js:1"),
        ({"message": "no", "trace": "Error: no\n at a.js:1"}, "Error: no\n at a.js:1"),
        ({"message": "no", "trace": "at a.js:1"}, "no\nat a.js:1"),
        ({"message": " ", "trace": ""}, None),
    ],
)
def test_message_and_trace_are_one_text(fields: dict[str, str], error: str | None) -> None:
    assert read_test(status="failed", **fields).error == error


def test_attempts_are_those_before_the_last_in_their_order() -> None:
    tries = [
        {"attempt": 2, "status": "failed", "duration": 3, "message": "two"},
        {"attempt": 1, "status": "failed", "duration": 2, "trace": "one"},
    ]
    last = {"attempt": 3, "status": "passed", "duration": 4}
    expected = TestDetails((Attempt(FAILED, 2.0, "one"), Attempt(FAILED, 3.0, "two")))

    told = read_test(retries=2, flaky=True, retryAttempts=tries)
    with_the_last = read_test(retries=2, flaky=True, retryAttempts=[*tries, last])

    assert (told.retries, told.details) == (2, expected)
    assert with_the_last == told
    assert read_test(retries=1, flaky=True).retries == 1
    assert read_test(flaky=True).retries == 1
    assert read_test(status="failed", flaky=True).retries is None


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "a"),
        ({"suite": ["login form", "inner"]}, "login form > inner > a"),
        ({"suite": ["a.spec.js", "login form"], "filePath": "src/a.spec.js"}, "login form > a"),
        ({"suite": "a.spec.js > login form", "filePath": "src/a.spec.js"}, "login form > a"),
        ({"suite": ["login form"], "name": "login form a"}, "login form a"),
        ({"name": ""}, "(no name)"),
    ],
)
def test_suites_keep_tests_of_one_name_apart(fields: dict[str, Any], title: str) -> None:
    assert read_test(**fields).title == title


def test_what_ctrf_does_not_know_is_left_out_and_named() -> None:
    content = document(TEST, TEST | {"colour": 1, "retryAttempts": [{"attempt": 1, "status": "failed", "x": 1}]}, y=1)
    del content["specVersion"]

    report = read_document(content)

    assert len(report.tests) == 2
    assert report.warnings == (
        "specVersion is missing",
        "Left out of account: the document: Object contains unknown field `y`",
        "Left out of account: results.tests[1]: Object contains unknown field `colour`",
    )
    assert len(read_document(document(*[TEST | {"x": 1}] * 100)).warnings) == ctrf.MOST_WARNINGS


def test_texts_that_the_store_cannot_hold_are_written_out() -> None:
    assert read_test(name="a\0b", tags=["\0"]).title == "a\\x00b"


@pytest.mark.parametrize("value", [-1, 1e300])
def test_a_duration_that_is_none_is_unknown(value: float) -> None:
    assert read_test(duration=value).duration_ms is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (document(TEST, {"name": "b", "status": "broken"}), "results.tests[1].status: Invalid enum value 'broken'"),
        (document(TEST, {"status": "passed"}), "results.tests[1]: Object missing required field `name`"),
        (document(TEST | {"duration": "long"}), "results.tests[0].duration: Expected `float | null`, got `str`"),
        (document(1), "results.tests[0]: Expected `object`, got `int`"),
        (document(reportFormat="JUnit"), "reportFormat: Invalid enum value 'JUnit'"),
        ({"numFailedTests": 1, "testResults": []}, "the document: Object missing required field `results`"),
    ],
)
def test_what_is_not_as_ctrf_has_it_is_refused_with_its_path(content: Any, reason: str) -> None:
    with pytest.raises(UnreadableReport) as error:
        read_document(content)

    assert error.value.message == f"It is not as CTRF has it: {reason}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"results": {\n "tool": }', "Line 2, column 10: JSON is malformed: invalid character"),
        (b'{"results": {"tool": ', "It is cut off"),
        (b'{"results": {"tool": {"name": "\xff"}, "tests": []}}', "It is not UTF-8 text"),
        ('{"results": 1}'.encode("utf-16"), "JSON is malformed"),
        (
            b'{"results": {"tests": [{"name": "a", "status": "passed", "extra":' + b'{"a":' * 100_000,
            "nested too deeply",
        ),
        (b'{"results": {"tool": {"name": "a"}, "tests": [' + b"[" * 100_000, "Expected `object`, got `array`"),
    ],
)
def test_broken_json_is_refused_with_its_place(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableReport) as error:
        read(content)

    assert reason in error.value.message


def test_a_byte_order_mark_does_no_harm() -> None:
    assert len(read(b"\xef\xbb\xbf" + msgspec.json.encode(document(TEST))).tests) == 1


def test_numbers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctrf, "MAX_TESTS", 2)
    with pytest.raises(UnreadableReport, match="more than 2 tests"):
        read_document(document(TEST, TEST, TEST))
    monkeypatch.setattr(ctrf, "MAX_BYTES", 10)
    with pytest.raises(UnreadableReport, match="larger than"):
        read_document(document())


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for content in (b"{" + junk, b'{"results": {"tool": {"name": "x"}, "tests": [' + junk):
        try:
            read(content)
        except UnreadableReport as error:
            assert error.message  # noqa: PT017 - whether it is refused is not known beforehand
