"""What is written is read again as it was; and CTRF is written as its schema has it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.executions.formats import ctrf_schema, reading
from orchestrator.executions.formats.ctrf_writer import CtrfWriter
from orchestrator.executions.formats.junit_writer import JUnitWriter
from orchestrator.executions.formats.report import Writer
from orchestrator.executions.model import (
    Attempt,
    Configuration,
    Environment,
    Execution,
    ExecutionStatus,
    Property,
    Shard,
    ShardStatus,
    TestDetails,
    TestResult,
    TestStatus,
    TestSuite,
    Totals,
    count,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PASSED, FAILED, SKIPPED = TestStatus


def an_execution(*shards: Shard) -> Execution:
    return Execution(
        execution_id="exec_1",
        tenant_id=1,
        test_suite=TestSuite.SMOKE,
        environment=Environment.STAGING,
        provider="custom-ci",
        trigger_source=None,
        configuration=Configuration(shards=len(shards)),
        metadata='{"branch":"main","commit":"abc123"}',
        base_url="http://tms.example",
        created_at=NOW - timedelta(minutes=3),
        started_at=NOW - timedelta(minutes=2),
        shards=shards,
        deadline=NOW,
        status=ExecutionStatus.RUNNING,
    )


def a_shard(number: int, tests: Sequence[TestResult], status: ShardStatus = ShardStatus.COMPLETED) -> Shard:
    return Shard(str(number), status, count(tests), started_at=NOW - timedelta(minutes=2), duration_ms=1500)


def write(writer: Writer, shards: Sequence[tuple[Shard, Sequence[TestResult]]], page: int = 2) -> bytes:
    pieces = [writer.begin()]
    for shard, tests in shards:
        pieces.append(writer.shard(shard))
        pieces += [writer.tests(tests[start : start + page]) for start in range(0, len(tests) + 1, page)]
    return b"".join([*pieces, writer.end()])


# What XML can carry, and what the readers keep as it is: no spaces around a text, none of the words with a meaning.
letters = st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"], exclude_characters="\x7f")
texts = st.text(letters | st.sampled_from("\n\t\r<>&\"']]>"), min_size=1).map(str.strip).filter(bool)
lines = st.text(letters, min_size=1).map(str.strip).filter(bool)
words = lines.map(lambda text: "w" + text.replace(",", "").rstrip()).filter(
    lambda text: "[[" not in text and "]]" not in text
)
durations = st.none() | st.integers(0, 10_000_000).map(float)
attempts = st.lists(st.builds(Attempt, st.just(FAILED), durations, st.none() | texts), max_size=3).map(tuple)
properties = st.lists(st.builds(Property, words, words), max_size=3, unique=True).map(tuple)


@st.composite
def results(draw: st.DrawFn) -> TestResult:
    status = draw(st.sampled_from(TestStatus))
    details = TestDetails(
        attempts=() if status is SKIPPED else draw(attempts),
        properties=draw(properties),
        attachments=draw(st.lists(words, max_size=3, unique=True).map(tuple)),
    )
    return TestResult(
        title=draw(lines),
        status=status,
        file=draw(lines | lines.map(lambda name: f"tests/{name}.py")),
        duration_ms=draw(durations),
        error=None if status is PASSED else draw(st.none() | texts),
        retries=len(details.attempts),
        tags=draw(st.none() | st.lists(words, min_size=1, max_size=3, unique=True).map(tuple)),
        details=None if details == TestDetails() else details,
    )


suite = st.lists(results(), max_size=3, unique_by=lambda test: (test.title, test.file))
suites = st.lists(suite, min_size=1, max_size=2)
few = settings(max_examples=60)


@few
@given(suites)
def test_junit_is_read_as_it_was_written(written: list[list[TestResult]]) -> None:
    shards = [(a_shard(number, tests), tests) for number, tests in enumerate(written, 1)]
    execution = an_execution(*(shard for shard, _ in shards))

    report = reading.read(write(JUnitWriter(execution, execution.totals), shards))

    assert report.tests == [as_junit_has_it(test) for tests in written for test in tests]
    assert report.attachments == ()


def as_junit_has_it(test: TestResult) -> TestResult:
    """A failed test's last try that has no time of its own took as long as the first."""
    if test.status is FAILED and test.duration_ms is None and test.details and test.details.attempts:
        return msgspec.structs.replace(test, duration_ms=test.details.attempts[0].duration_ms)
    return test


@few
@given(suites)
def test_ctrf_is_read_as_it_was_written(written: list[list[TestResult]]) -> None:
    shards = [(a_shard(number, tests), tests) for number, tests in enumerate(written, 1)]
    execution = an_execution(*(shard for shard, _ in shards))

    content = write(CtrfWriter(execution, execution.totals, None, NOW), shards)
    report = reading.read(content)

    assert report.warnings == ()
    assert report.tests == [as_ctrf_has_it(test) for tests in written for test in tests]
    conforms_to_schema(msgspec.json.decode(content))


def as_ctrf_has_it(test: TestResult) -> TestResult:
    """A duration is wanted of every test, and the values of a label stand together."""
    details = test.details
    if details is not None:
        names = list(dict.fromkeys(one.name for one in details.properties))
        grouped = sorted(details.properties, key=lambda one: names.index(one.name))
        details = msgspec.structs.replace(details, properties=tuple(grouped))
    return msgspec.structs.replace(test, duration_ms=test.duration_ms or 0.0, details=details)


def conforms_to_schema(document: Any) -> None:
    """The required properties and the types of the published schema; what is unknown to it the reader would name."""
    assert {"reportFormat", "specVersion", "results"} <= document.keys()
    assert (document["reportFormat"], document["specVersion"]) == ("CTRF", "0.0.0")
    results = document["results"]
    assert {"tool", "summary", "tests"} <= results.keys()
    wanted = {"tests", "passed", "failed", "skipped", "pending", "other", "start", "stop"}
    assert wanted <= results["summary"].keys()
    assert all(type(value) is int and value >= 0 for value in results["summary"].values())
    for test in results["tests"]:
        assert test["name"]
        assert test["status"] in {"passed", "failed", "skipped", "pending", "other"}
        assert type(test["duration"]) is int
        assert None not in test.values()
        tries = test.get("retryAttempts", [])
        assert [one["attempt"] for one in tries] == [*range(1, len(tries) + 1)]
        assert "retryAttempts" not in test or test["retries"] == len(tries)
        for one in test.get("attachments", []):
            assert one.keys() == {"name", "contentType", "path"}
        for value in test.get("labels", {}).values():
            assert isinstance(value, str) or value


def test_retries_that_are_only_counted_are_told_in_both() -> None:
    tests = [
        TestResult("flaky", PASSED, "a", retries=2),
        TestResult("failed", FAILED, "a", error="no", retries=1),
        TestResult("skipped", SKIPPED, "a", retries=1),
    ]
    shard = a_shard(1, tests)
    execution = an_execution(shard)

    junit = reading.read(write(JUnitWriter(execution, execution.totals), [(shard, tests)])).tests
    ctrf = reading.read(write(CtrfWriter(execution, execution.totals, shard, NOW), [(shard, tests)])).tests

    assert [(test.status, test.error, test.retries) for test in junit[:2]] == [(PASSED, None, 2), (FAILED, "no", 1)]
    assert [test.retries for test in ctrf] == [2, 1, 1]


def test_characters_that_xml_cannot_have_are_written_as_question_marks() -> None:
    tests = [TestResult("\x1b[31mred\x00\ufffe", FAILED, "a", error="\x07"), TestResult("", PASSED)]
    shard = a_shard(1, tests)
    execution = an_execution(shard)

    junit = reading.read(write(JUnitWriter(execution, execution.totals), [(shard, tests)])).tests
    ctrf = reading.read(write(CtrfWriter(execution, execution.totals, shard, NOW), [(shard, tests)])).tests

    assert [test.title for test in junit] == ["?[31mred??", "(no name)"]
    assert [test.file for test in junit] == ["a", "shard-1"]
    assert [test.title for test in ctrf] == ["\x1b[31mred\\x00\ufffe", "(no name)"]


def test_a_shard_without_results_is_told_with_its_status() -> None:
    execution = an_execution(a_shard(1, []), Shard("2", ShardStatus.LOST))

    text = write(JUnitWriter(execution, execution.totals), [(shard, []) for shard in execution.shards]).decode()

    assert text.count("<testsuite ") == 2
    assert '<property name="status" value="lost"/>' in text


def test_counters_are_those_of_the_shards_where_a_runner_listed_only_some_tests() -> None:
    shard = Shard("1", ShardStatus.COMPLETED, Totals(50, 45, 3, 2, 1))
    execution = an_execution(shard)

    junit = write(JUnitWriter(execution, execution.totals), [(shard, [])]).decode()
    ctrf = msgspec.json.decode(write(CtrfWriter(execution, execution.totals, shard, NOW), [(shard, [])]))

    assert junit.count('tests="50" failures="3" errors="0" skipped="2"') == 2
    assert ctrf["results"]["summary"] == {
        "tests": 50,
        "passed": 45,
        "failed": 3,
        "skipped": 2,
        "pending": 0,
        "other": 0,
        "flaky": 1,
        "start": 1795348680000,
        "stop": 1795348800000,
    }
    assert ctrf["results"]["environment"] == {
        "reportName": "smoke",
        "testEnvironment": "staging",
        "branchName": "main",
        "commit": "abc123",
        "shardId": "1",
        "healthy": False,
    }
    assert ctrf["runId"] == "exec_1"
    assert list(ctrf_schema.deviations(msgspec.json.encode(ctrf))) == []
