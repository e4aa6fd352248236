"""JUnit XML, dialect by dialect; what tools really write is in test_tools.py."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.executions.formats.junit import JUnitReader
from orchestrator.executions.formats.junit_cases import milliseconds
from orchestrator.executions.formats.report import ERROR_LENGTH, MOST_NOTES, Report
from orchestrator.executions.model import Attempt, Property, TestDetails, TestResult, TestStatus

PASSED, FAILED, SKIPPED = TestStatus


def read(text: str) -> Report:
    reader = JUnitReader()
    reader.feed(text.encode())
    return reader.close()


def read_cases(cases: str) -> list[TestResult]:
    return read(f'<testsuites><testsuite name="s">{cases}</testsuite></testsuites>').tests


def test_each_outcome_is_read() -> None:
    tests = read_cases("""
        <testcase classname="pkg.LoginTest" name="works" time="1.5"/>
        <testcase classname="pkg.LoginTest" name="fails" time="0.25">
          <failure message="expected 1" type="AssertionError">at LoginTest.java:12</failure>
        </testcase>
        <testcase classname="pkg.LoginTest" name="breaks"><error type="IOError"/></testcase>
        <testcase classname="pkg.LoginTest" name="waits"><skipped message="later"/></testcase>
        <testcase classname="pkg.LoginTest" name="silent"><failure/></testcase>""")

    assert [(test.title, test.file, test.status, test.duration_ms, test.error) for test in tests] == [
        ("works", "pkg.LoginTest", PASSED, 1500.0, None),
        ("fails", "pkg.LoginTest", FAILED, 250.0, "expected 1\nat LoginTest.java:12"),
        ("breaks", "pkg.LoginTest", FAILED, None, "IOError"),
        ("waits", "pkg.LoginTest", SKIPPED, None, "later"),
        ("silent", "pkg.LoginTest", FAILED, None, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<testsuite>{}</testsuite>",
        "<testsuites><testsuite><testsuite>{}</testsuite></testsuite></testsuites>",
        '<j:testsuites xmlns:j="urn:x" xmlns="urn:x"><testsuite>{}</testsuite></j:testsuites>',
        "<?pi x?><testrun><testsuite><!-- c -->{}</testsuite></testrun>",
    ],
)
def test_roots_nesting_and_namespaces_are_no_matter(text: str) -> None:
    report = read(text.format('<testcase classname="c" name="a" time="2"/>'))

    assert [(test.title, test.file) for test in report.tests] == [("a", "c")]
    assert report.duration_ms == 2000.0


def test_the_file_is_the_attribute_else_the_suites_else_the_class_else_the_suite() -> None:
    tests = read("""<testsuites><testsuite name="Login" file="login.spec.js">
          <testcase classname="c" name="a" file="src/a.py"/>
          <testcase classname="works" name="b"/>
        </testsuite><testsuite name="Other">
          <testcase classname="c" name="e"/><testcase classname="d" name="d"/><testcase name="f"/><testcase/>
        </testsuite></testsuites>""").tests

    assert [test.file for test in tests] == ["src/a.py", "login.spec.js", "c", "Other", "Other", "Other"]
    assert [test.title for test in tests] == ["a", "b", "e", "d", "f", "(no name)"]


def test_a_class_inside_the_file_belongs_to_the_title() -> None:
    tests = read_cases(r"""
        <testcase classname="tests.test_a.TestX.TestY" name="test_y[1.5]" file="tests/test_a.py"/>
        <testcase classname="tests.test_a" name="test_z" file="tests\test_a.py"/>
        <testcase classname="FooTest" name="testBar" file="/app/FooTest.php"/>
        <testcase classname="a.spec.js" name="works" file="a.spec.js"/>""")

    assert [test.title for test in tests] == ["TestX::TestY::test_y[1.5]", "test_z", "testBar", "works"]


def test_surefires_attempts_are_in_the_order_they_were_made() -> None:
    tests = read_cases("""
        <testcase name="flaky" time="0.3">
          <flakyFailure message="1" time="0.1"/><flakyError message="2"><stackTrace>two</stackTrace></flakyError>
        </testcase>
        <testcase name="failed" time="0.5"><failure message="first"/>
          <rerunFailure message="second" time="0.2"/><rerunError message="third" time="0.1"/>
        </testcase>""")

    assert tests[0].status is PASSED
    assert tests[0].details == TestDetails((Attempt(FAILED, 100.0, "1"), Attempt(FAILED, None, "2\ntwo")))
    assert (tests[1].status, tests[1].error, tests[1].duration_ms) == (FAILED, "third", 100.0)
    assert tests[1].details == TestDetails((Attempt(FAILED, 500.0, "first"), Attempt(FAILED, 200.0, "second")))
    assert [test.retries for test in tests] == [2, 2]


def test_a_test_told_again_after_it_failed_is_another_try_of_it() -> None:
    tests = read_cases("""
        <testcase classname="c" name="a" time="1"><failure message="one"/></testcase>
        <testcase classname="c" name="b"/>
        <testcase classname="c" name="a" time="2"><failure message="two"/></testcase>
        <testcase classname="c" name="a" time="3"/>""")

    assert [(test.title, test.status, test.retries) for test in tests] == [("a", PASSED, 2), ("b", PASSED, 0)]
    assert tests[0].duration_ms == 3000.0
    assert tests[0].details == TestDetails((Attempt(FAILED, 1000.0, "one"), Attempt(FAILED, 2000.0, "two")))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('name="a"', 'name="a" classname="c"'),
        ('name="a" file="f" line="1"', 'name="a" file="f" line="2"'),
    ],
)
def test_tests_of_one_name_in_different_places_are_different(first: str, second: str) -> None:
    tests = read_cases(f"<testcase {first}><failure/></testcase><testcase {second}/>")

    assert [test.status for test in tests] == [FAILED, PASSED]


def test_in_pytests_suites_alone_any_repetition_is_another_try() -> None:
    cases = '<testcase classname="test_a" name="a"/>' * 2
    report = read(
        f'<testsuites><testsuite name="pytest">{cases}</testsuite><testsuite>{cases}</testsuite></testsuites>'
    )

    assert [(test.file, test.retries) for test in report.tests] == [("test_a.py", 1), ("test_a", 0), ("test_a", 0)]


def test_a_name_repeated_without_a_failure_is_no_retry() -> None:
    twice = "<testcase name='a'/>" * 2
    failed_last = "<testcase name='b'/><testcase name='b'><failure/></testcase>"
    skipped_last = "<testcase name='c'><failure/></testcase><testcase name='c'><skipped/></testcase>"

    tests = read_cases(twice + failed_last + skipped_last)

    assert [test.status for test in tests] == [PASSED, PASSED, PASSED, FAILED, FAILED, SKIPPED]
    suites = "".join(f'<testsuite name="{name}"><testcase name="a">{{}}</testcase></testsuite>' for name in "xy")
    assert len(read(f"<testsuites>{suites.format('<failure/>', '')}</testsuites>").tests) == 2


@pytest.mark.parametrize("attribute", ['status="notrun"', 'result="suppressed"', 'status="Disabled"'])
def test_a_test_that_was_not_run_is_skipped(attribute: str) -> None:
    assert read_cases(f'<testcase name="a" {attribute}/>')[0].status is SKIPPED


def test_a_failure_beside_the_tests_is_the_suites_own() -> None:
    tests = read("""<testsuites><testsuite name="Setup"><error message="no database"/>
        <testcase name="a"/></testsuite></testsuites>""").tests

    assert [(test.title, test.status, test.error) for test in tests] == [
        ("Setup", FAILED, "no database"),
        ("a", PASSED, None),
    ]


def test_properties_are_told_as_attribute_or_text_and_some_have_a_meaning() -> None:
    tests = read_cases("""<testcase name="a"><properties>
          <property name="tag" value="@smoke"/><property name="tags">slow, @smoke,login</property>
          <property name="owner" value="ann"/><property name="owner">bob</property>
          <property name="attachment1" value="shots/a.png"/>
        </properties></testcase>""")

    assert tests[0].tags == ("@smoke", "slow", "login")
    assert tests[0].details == TestDetails(
        properties=(Property("owner", "ann"), Property("owner", "bob")), attachments=("shots/a.png",)
    )


def test_marks_in_output_are_attachments_and_properties() -> None:
    report = read("""<testsuite name="s">
        <testcase name="a">
          <system-out><![CDATA[before [[ATTACHMENT|a[chrome].png]] [[PROPERTY|build=12=3]]
        [[ATTACHMENT|data:image/png;base64,AAAA]] [[ATTACHMENT|broken
        ]] [[OTHER|x]]]]></system-out>
          <failure>no</failure>
          <system-err>[[ATTACHMENT|b.webm]] [[ATTACHMENT|b.webm]]</system-err>
        </testcase>
        <system-out>[[ATTACHMENT|suite.log]]</system-out></testsuite>""")

    assert report.tests[0].error == "no"
    assert report.tests[0].details == TestDetails(
        properties=(Property("build", "12=3"),), attachments=("a[chrome].png", "b.webm")
    )
    assert report.attachments == ("suite.log",)


def test_properties_and_output_of_a_suite_are_no_tests() -> None:
    report = read("""<testsuite><properties><property name="tag" value="x"/></properties><testcase name="a"/>
        <system-out><![CDATA[<testcase name="no"/>]]></system-out></testsuite>""")

    assert [(test.title, test.tags, test.details) for test in report.tests] == [("a", None, None)]


def test_characters_that_xml_cannot_have_are_read_all_the_same() -> None:
    (test,) = read_cases('<testcase name="\x1b[31mred"><failure>a\x00b\tc</failure></testcase>')

    assert (test.title, test.error) == ("?[31mred", "a?b\tc")


def test_what_is_long_or_much_is_cut() -> None:
    error = "head" + "x" * 1_000_000 + "tail"
    properties = "".join(f'<property name="p{number}" value="v"/>' for number in range(1000))
    (test,) = read_cases(f'<testcase name="{error}"><failure>{error}</failure>{properties}</testcase>')

    assert test.error is not None
    assert test.details is not None
    assert test.error.startswith("headx")
    assert test.error.endswith("xtail")
    assert len(test.error) <= ERROR_LENGTH
    head, left_out, tail = re.split(r"\n… (\d+) characters left out …\n", test.error)
    assert len(head) + int(left_out) + len(tail) == len(error)
    assert len(test.title) < 5000
    assert len(test.details.properties) == MOST_NOTES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 500.0),
        (" 12 ", 12_000.0),
        ("1.2e-05", 0.012),
        ("0,123", 123.0),
        ("1,234.5", 1_234_500.0),
        ("1.234,5", 1_234_500.0),
        ("1,234,567", 1_234_567_000.0),
        ("1.234.567", 1_234_567_000.0),
        ("", None),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("1e999", None),
        ("1_000", None),
        ("00:00:01.5", None),
        ("9" * 1000, None),
        (None, None),
    ],
)
def test_times_are_read_as_tools_write_them(text: str | None, value: float | None) -> None:
    assert milliseconds(text) == value


@given(st.text())
def test_any_time_is_none_or_a_duration(text: str) -> None:
    value = milliseconds(text)

    assert value is None or 0.0 <= value < float("inf")
