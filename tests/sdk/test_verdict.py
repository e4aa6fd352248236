"""What a shard's process leaves behind."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tms_sdk.verdict import Death, Told, judge, worst


@pytest.mark.parametrize(("exit_code", "status"), [(0, "completed"), (1, "failed"), (5, "completed")])
def test_pytest_that_did_its_work_is_taken_at_its_word(exit_code: int, status: str) -> None:
    verdict = judge("1", Told(finished=True), Death(exit_code))
    assert (verdict.status, list(verdict.tests), verdict.exit_code) == (status, [], exit_code)


def test_a_killed_process_fails_the_test_it_ran_with_its_last_words() -> None:
    told = Told(running={"sub/test_b.py::TestC::test_x[1]": None})
    verdict = judge("1", told, Death(-signal.SIGSEGV, "Fatal Python error"))
    assert (verdict.status, verdict.exit_code) == ("error", 3)
    (died,) = verdict.tests
    assert (died["file"], died["title"], died["status"]) == ("sub/test_b.py", "TestC::test_x[1]", "failed")
    assert "SIGSEGV" in died["error"]
    assert "while this test ran" in died["error"]
    assert "Fatal Python error" in died["error"]


def test_a_process_whose_end_nobody_saw_has_died() -> None:
    verdict = judge("1", Told(running={"test_a.py::test_x": None}), Death(None))
    assert (verdict.status, verdict.exit_code) == ("error", 3)
    assert "has died while this test ran" in verdict.tests[0]["error"]


@pytest.mark.parametrize("exit_code", [0, 1, 5])
def test_a_process_that_ends_without_a_word_is_an_error_whatever_its_code(exit_code: int) -> None:
    verdict = judge("7", Told(), Death(exit_code, "last line"))
    assert (verdict.status, verdict.exit_code) == ("error", 3)
    assert verdict.tests[-1]["title"] == "shard 7"
    assert "last line" in verdict.tests[-1]["error"]


@pytest.mark.parametrize("exit_code", [2, 3, 4, 77])
def test_a_code_for_trouble_is_kept_and_explained(exit_code: int) -> None:
    verdict = judge("1", Told(finished=True), Death(exit_code, "INTERNALERROR> x"))
    assert (verdict.status, verdict.exit_code) == ("error", exit_code)
    assert "INTERNALERROR> x" in verdict.tests[-1]["error"]


@pytest.mark.parametrize("exit_code", [1, 2])
def test_a_file_that_cannot_be_collected_is_an_error_that_explains_itself(exit_code: int) -> None:
    verdict = judge("1", Told(broken=True, finished=True), Death(exit_code, "noise"))
    assert (verdict.status, list(verdict.tests), verdict.exit_code) == ("error", [], exit_code)


def test_a_process_that_dies_after_its_last_test_is_an_error() -> None:
    verdict = judge("1", Told(finished=True), Death(-signal.SIGABRT))
    assert (verdict.status, verdict.exit_code) == ("error", 3)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5])))
def test_the_worst_shard_decides_and_no_tests_only_where_no_shard_has_any(codes: list[int]) -> None:
    if all(code == 5 for code in codes):
        assert worst(codes) == 5
    else:
        assert worst(codes) == max(code for code in codes if code != 5)
