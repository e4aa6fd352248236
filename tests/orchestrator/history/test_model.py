"""Stable ids of tests."""

from orchestrator.history import model


def test_an_id_is_that_of_file_and_title() -> None:
    assert model.test_id("tests/a.py", "works") == model.test_id("tests/a.py", "works")
    ids = {
        model.test_id("a", "bc"),
        model.test_id("ab", "c"),
        model.test_id("abc", ""),
        model.test_id("", "abc"),
        model.test_id("a", "bC"),
    }
    assert len(ids) == 5


def test_no_file_is_an_empty_one() -> None:
    assert model.test_id(None, "works") == model.test_id("", "works")


def test_an_id_may_stand_in_a_path() -> None:
    assert model.test_id("tests/ä.py", "wörks [1/2]").removeprefix("test_").isalnum()
    assert len(model.test_id("", "")) == 25
