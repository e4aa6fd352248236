"""Records that any server can store, and the counters over them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tms_sdk.records import ERROR_HEAD, ERROR_TAIL, Record, TestStatus, attempt, count, record, shorten

# Every code point, lone surrogates and NUL included.
any_text = st.text(st.characters(categories=None))
statuses: st.SearchStrategy[TestStatus] = st.sampled_from(["passed", "failed", "skipped"])
attempts = st.lists(
    st.builds(attempt, status=statuses, seconds=st.floats(0, 1e6), error=st.none() | any_text), max_size=3
)
records = st.builds(
    record, title=any_text, file=any_text, status=statuses, attempts=attempts, error=st.none() | any_text
)


@given(records)
def test_a_record_can_be_stored_whatever_the_test_printed(made: Record) -> None:
    stored = json.dumps(made, ensure_ascii=False).encode("utf-8")
    assert b"\0" not in stored
    assert "\\u0000" not in json.dumps(made)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_that_can_be_stored_is_kept_as_it_is(text: str) -> None:
    assert record(title=text, file=text, status="passed")["title"] == text


def test_what_cannot_be_stored_is_written_out() -> None:
    assert record(title="a\0b\udc80c", file="", status="passed")["title"] == "a\\x00b\\udc80c"


@given(st.text(max_size=3), st.integers(0, 40_000))
def test_a_long_error_keeps_its_head_and_its_tail(text: str, times: int) -> None:
    error = "head" + text * times + "tail"
    short = shorten(error)
    assert short.startswith("head")
    assert short.endswith("tail")
    assert len(short) <= ERROR_HEAD + ERROR_TAIL + 100
    if len(error) <= ERROR_HEAD + ERROR_TAIL:
        assert short == error


@given(st.lists(records))
def test_every_test_is_counted_once(tests: list[Record]) -> None:
    counters = count(tests)
    assert counters["total"] == len(tests) == counters["passed"] + counters["failed"] + counters["skipped"]
    assert counters["flaky"] == sum(test["retries"] > 0 for test in tests if test["status"] == "passed")


def test_durations_are_whole_milliseconds() -> None:
    assert record(title="a", file="", status="passed", seconds=1.2345)["duration"] == 1234
    assert record(title="a", file="", status="passed", seconds=-0.1)["duration"] == 0
    assert "duration" not in record(title="a", file="", status="passed")
