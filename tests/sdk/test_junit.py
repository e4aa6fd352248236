"""JUnit XML reports, dialect by dialect."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tms_sdk import ReportError
from tms_sdk.junit import MAX_DEPTH, read, seconds
from tms_sdk.records import Record

Read = Callable[[str | bytes], list[Record]]

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def report(tmp_path: Path) -> Read:
    """Read a report from its text."""

    def parse(text: str | bytes) -> list[Record]:
        path = tmp_path / "report.xml"
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return list(read(path))

    return parse


def outcomes(tests: list[Record]) -> list[tuple[str, str, str]]:
    return [(test["file"], test["title"], test["status"]) for test in tests]


def test_each_outcome_is_read(report: Read) -> None:
    tests = report("""<?xml version="1.0" encoding="utf-8"?>
        <testsuites><testsuite name="s" tests="4">
          <testcase classname="pkg.LoginTest" name="works" time="1.5"/>
          <testcase classname="pkg.LoginTest" name="fails" time="0.25">
            <failure message="expected 1" type="AssertionError">at LoginTest.java:12</failure>
          </testcase>
          <testcase classname="pkg.LoginTest" name="breaks"><error type="IOError"/></testcase>
          <testcase classname="pkg.LoginTest" name="waits"><skipped message="later"/></testcase>
        </testsuite></testsuites>""")
    assert outcomes(tests) == [
        ("pkg.LoginTest", "works", "passed"),
        ("pkg.LoginTest", "fails", "failed"),
        ("pkg.LoginTest", "breaks", "failed"),
        ("pkg.LoginTest", "waits", "skipped"),
    ]
    assert [test.get("duration") for test in tests] == [1500, 250, None, None]
    assert tests[1]["error"] == "expected 1\nat LoginTest.java:12"
    assert tests[2]["error"] == "IOError"
    assert all("error" not in tests[number] for number in (0, 3))


def test_a_root_of_its_own_and_nested_suites_are_no_matter(report: Read) -> None:
    case = '<testcase classname="c" name="a"/>'
    assert outcomes(report(f"<testsuite>{case}</testsuite>")) == [("c", "a", "passed")]
    assert (
        outcomes(report(f"<testsuites><testsuite><testsuite>{case}</testsuite>{case}</testsuite></testsuites>"))
        == [("c", "a", "passed")] * 2
    )
    assert outcomes(report(f'<testsuites xmlns="urn:x"><testsuite>{case}</testsuite></testsuites>')) == [
        ("c", "a", "passed")
    ]


def test_the_file_is_the_attribute_else_the_class_else_the_suite(report: Read) -> None:
    tests = report("""<testsuites><testsuite name="Login" file="login.spec.js">
          <testcase classname="c" name="a" file="src/a.py"/>
          <testcase classname="c" name="b"/>
          <testcase name="c"/>
          <testcase/>
        </testsuite><testsuite name="Other"><testcase name="d"/></testsuite></testsuites>""")
    assert [test["file"] for test in tests] == ["src/a.py", "c", "login.spec.js", "login.spec.js", "Other"]
    assert [test["title"] for test in tests] == ["a", "b", "c", "(no name)", "d"]


def test_a_class_inside_the_file_belongs_to_the_title_as_in_pytest(report: Read) -> None:
    tests = report(r"""<testsuite>
          <testcase classname="tests.test_a.TestX.TestY" name="test_y[1.5]" file="tests/test_a.py"/>
          <testcase classname="tests.test_a" name="test_z" file="tests\test_a.py"/>
          <testcase classname="FooTest" name="testBar" file="/app/FooTest.php"/>
        </testsuite>""")
    assert [test["title"] for test in tests] == ["TestX::TestY::test_y[1.5]", "test_z", "testBar"]


def test_attempts_are_told_in_surefires_way(report: Read) -> None:
    tests = report("""<testsuite>
          <testcase classname="c" name="flaky"><flakyFailure message="1"/><flakyError message="2"/></testcase>
          <testcase classname="c" name="failed"><failure message="1"/><rerunFailure/><rerunError/></testcase>
        </testsuite>""")
    assert [(test["status"], test["retries"]) for test in tests] == [("passed", 2), ("failed", 2)]


def test_a_test_that_is_repeated_is_kept_each_time(report: Read) -> None:
    tests = report('<testsuite><testcase name="a"><failure/></testcase><testcase name="a"/></testsuite>')
    assert [test["status"] for test in tests] == ["failed", "passed"]


@pytest.mark.parametrize("attribute", ['status="notrun"', 'result="suppressed"', 'status="Disabled"'])
def test_a_test_that_was_not_run_is_skipped(report: Read, attribute: str) -> None:
    assert report(f'<testsuite><testcase name="a" {attribute}/></testsuite>')[0]["status"] == "skipped"


def test_a_failure_beside_the_tests_is_the_suites_own(report: Read) -> None:
    tests = report("""<testsuites><testsuite name="Setup"><error message="no database"/>
        <testcase name="a"/></testsuite></testsuites>""")
    assert outcomes(tests) == [("Setup", "Setup", "failed"), ("Setup", "a", "passed")]
    assert tests[0]["error"] == "no database"


def test_tags_come_from_properties_as_attribute_or_text(report: Read) -> None:
    tests = report("""<testsuite><testcase name="a"><properties>
          <property name="tag" value="@smoke"/><property name="tags">slow, @smoke,login</property>
          <property name="owner" value="x"/>
        </properties></testcase></testsuite>""")
    assert tests[0]["tags"] == ["@smoke", "slow", "login"]


def test_properties_and_output_of_a_suite_are_no_tests(report: Read) -> None:
    text = """<testsuite><properties><property name="tag" value="x"/></properties><testcase name="a"/>
        <system-out><![CDATA[<testcase name="no"/>]]></system-out></testsuite>"""
    assert [(test["title"], test["tags"]) for test in report(text)] == [("a", [])]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        (" 12 ", 12.0),
        ("1.2e-05", 1.2e-05),
        ("0,123", 0.123),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1,234,567", 1234567.0),
        ("1,234,567.25", 1234567.25),
        ("1.234.567", 1234567.0),
        ("", None),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("1e999", None),
        ("1_000", None),
        ("00:00:01.5", None),
        (None, None),
    ],
)
def test_times_are_read_as_tools_write_them(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


@given(st.text())
def test_any_time_is_none_or_a_duration(text: str) -> None:
    value = seconds(text)
    assert value is None or 0.0 <= value < float("inf")


@given(st.floats(0.0, 1e7))
def test_a_plain_time_is_read_exactly(value: float) -> None:
    assert seconds(repr(value)) == value
    grouped = f"{value:,.3f}"
    assert seconds(grouped) == float(f"{value:.3f}")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("<testsuite>\n<testcase>\n</testsuite>", 3, "mismatched tag"),
        ("<testsuite>\n\n<testcase name='a'/>", 3, "no element found"),
        ("<testsuite>\n<system-out>\x1b</system-out></testsuite>", 2, "invalid token"),
        ("", 1, "no element found"),
        ("not xml", 1, "syntax error"),
        ("\n<?xml version='1.0'?><testsuite/>", 2, "not at start"),
    ],
)
def test_malformed_xml_is_refused_with_its_line(report: Read, text: str, line: int, words: str) -> None:
    with pytest.raises(ReportError) as error:
        report(text)
    assert error.value.line == line
    assert words in error.value.reason
    assert str(error.value).startswith(f"{error.value.path}:{line}: not well-formed")


def test_what_is_no_report_is_refused(report: Read, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="root is <html>"):
        report("<html/>")
    with pytest.raises(ReportError, match="No such file"):
        list(read(tmp_path / "missing.xml"))
    with pytest.raises(ReportError, match="directory"):
        list(read(tmp_path))


def test_entities_are_not_expanded(report: Read) -> None:
    bomb = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol">
<!ENTITY lol2 "&lol;&lol;&lol;">]>
<testsuite><testcase name="&lol2;"/></testsuite>"""
    with pytest.raises(ReportError, match="entities"):
        report(bomb)


def test_files_of_the_machine_are_not_read(report: Read, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    text = (
        f"""<!DOCTYPE x [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]><testsuite><testcase name="&s;"/></testsuite>"""
    )
    with pytest.raises(ReportError, match="external references"):
        report(text)
    remote = f"""<!DOCTYPE x SYSTEM "file://{tmp_path}/secret"><testsuite><testcase name="a"/></testsuite>"""
    assert [test["title"] for test in report(remote)] == ["a"]


def test_depth_is_limited(report: Read) -> None:
    deep = MAX_DEPTH + 1
    with pytest.raises(ReportError, match="deep"):
        report("<testsuite>" * deep + "</testsuite>" * deep)


def test_a_report_larger_than_the_limit_is_refused_unread(report: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tms_sdk.junit.MAX_BYTES", 10)
    with pytest.raises(ReportError, match="larger than"):
        report("<testsuite></testsuite>")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_declared_encodings_are_read(report: Read, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><testsuite><testcase name="größe"/></testsuite>'
    assert report(text.encode(encoding))[0]["title"] == "größe"


@pytest.mark.parametrize(
    "text",
    [
        b'<?xml version="1.0" encoding="no-such"?><testsuite/>',
        b'<?xml version="1.0" encoding="utf-8"?><testsuite><testcase name="\xff"/></testsuite>',
        b'<?xml version="1.0" encoding="shift_jis"?><testsuite/>',
    ],
)
def test_what_cannot_be_decoded_is_refused(report: Read, text: bytes) -> None:
    with pytest.raises(ReportError):
        report(text)


def test_a_large_report_is_read_as_a_stream(tmp_path: Path) -> None:
    case = '<testcase classname="c" name="a" time="0.1"><system-out>' + "x" * 2000 + "</system-out></testcase>"
    path = tmp_path / "large.xml"
    path.write_text(f"<testsuite>{case * 5000}</testsuite>")
    tests = read(path)
    # The first test is there long before the file is through, and what was read is let go.
    first = next(tests)
    assert first["title"] == "a"
    assert sum(1 for _ in tests) == 4999


# What XML can carry at all.
xml_text = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"], exclude_characters="\x7f")
)
statuses = st.sampled_from(["passed", "failed", "skipped"])
cases = st.lists(
    st.tuples(xml_text.filter(bool), xml_text.filter(bool), statuses, st.integers(0, 10_000_000), st.integers(0, 3))
)


def write(tests: list[tuple[str, str, str, int, int]], *, nested: bool) -> str:
    parts = []
    for class_name, name, status, milliseconds, retries in tests:
        children = {
            "failed": "<failure message='no'/>" + "<rerunFailure/>" * retries,
            "skipped": "<skipped/>",
            "passed": "<flakyFailure/>" * retries,
        }[status]
        attributes = f"classname={quoteattr(class_name)} name={quoteattr(name)} time='{milliseconds / 1000}'"
        case = f"<testcase {attributes}>{children}<system-out>{escape(name)}</system-out></testcase>"
        parts.append(f"<testsuite>{case}</testsuite>" if nested else case)
    return f"<testsuite>{''.join(parts)}</testsuite>"


@same_folder
@given(cases, st.booleans())
def test_what_was_written_is_read(report: Read, tests: list[tuple[str, str, str, int, int]], nested: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    found = [
        (test["file"], test["title"], test["status"], test["duration"], test["retries"])
        for test in report(write(tests, nested=nested))
    ]
    assert found == [(*test[:4], 0 if test[2] == "skipped" else test[4]) for test in tests]


@same_folder
@given(cases, st.data())
def test_a_broken_report_is_refused_and_nothing_else(
    report: Read, tests: list[tuple[str, str, str, int, int]], data: st.DataObject
) -> None:
    text = write(tests, nested=True).encode("utf-8")
    cut = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(st.binary(max_size=5))
    with suppress(ReportError):
        report(text[:cut] + junk)


@same_folder
@given(st.binary())
def test_any_bytes_are_a_report_or_refused(report: Read, junk: bytes) -> None:
    with pytest.raises(ReportError):
        report(junk)
