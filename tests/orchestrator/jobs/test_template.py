"""Commands with placeholders: what they may hold, and what can be put into them."""

import re
from time import monotonic

import pytest

from orchestrator.errors import ValidationFailed
from orchestrator.jobs import template
from orchestrator.jobs.model import Parameter

WORD = Parameter("[a-z]+")
ANYTHING = Parameter(r"[^\n]*")


def fields(error: ValidationFailed) -> list[str]:
    return [detail.field for detail in error.details]


def test_placeholders_are_filled_in_and_doubled_braces_are_braces() -> None:
    values = {"executionId": "exec_1", "shardId": "2"}
    assert template.fill("--x={executionId}/{{{shardId}}}", values) == "--x=exec_1/{2}"


def test_a_value_stays_one_argument_and_is_not_read_again() -> None:
    values = {"name": "a b; $(x) {shardId} 'c'"}
    assert [template.fill(one, values) for one in ("run", "{name}")] == ["run", values["name"]]


def test_unknown_placeholders_and_loose_braces_are_named() -> None:
    faults = template.check_command(["run", "{suite}", "{shardId}", "{", "{{}}", "{other}"], ["suite"])
    assert [fault.field for fault in faults] == ["command[3]", "command[5]"]


def test_the_program_is_never_a_parameter() -> None:
    assert [fault.field for fault in template.check_command(["{suite}"], ["suite"])] == ["command[0]"]


def test_parameters_have_defaults_or_are_required_and_no_others_are_taken() -> None:
    declared = {"suite": WORD, "level": Parameter("[0-9]", "3")}
    command = ["run", "--suite={suite}", "{level}"]
    assert template.settle(declared, command, {"suite": "smoke"}, "p") == {"suite": "smoke", "level": "3"}
    with pytest.raises(ValidationFailed) as caught:
        template.settle(declared, command, {"other": "x", "level": "12"}, "p")
    assert fields(caught.value) == ["p.other", "p.suite", "p.level"]


@pytest.mark.parametrize("value", ["", "Smoke", "smoke\n", "smoke --all", "a" * 201])
def test_a_value_must_match_the_whole_pattern(value: str) -> None:
    with pytest.raises(ValidationFailed):
        template.settle({"suite": WORD}, ["run", "{suite}"], {"suite": value}, "p")


@pytest.mark.parametrize("value", ["-x", "--config=/tmp/evil", "a\0b"])
def test_a_value_cannot_be_an_option_whatever_the_pattern_allows(value: str) -> None:
    with pytest.raises(ValidationFailed):
        template.settle({"any": ANYTHING}, ["run", "{any}"], {"any": value}, "p")


@pytest.mark.parametrize(
    ("argument", "a", "b", "named"),
    [
        ("{a}{b}", "", "-x", ["p.b"]),
        ("{a}{b}", "-", "x", ["p.a"]),
        ("{a}{b}-x", "", "", ["p.a"]),
        ("{a}{b}", "x", "-x", []),
        ("{a}{{", "", "-x", []),
        ("{shardId}{a}", "-x", "-x", []),
        ("x{a}", "-x", "", []),
        ("-{a}", "", "", []),
    ],
)
def test_values_cannot_make_an_argument_an_option_together(argument: str, a: str, b: str, named: list[str]) -> None:
    faults = []
    try:
        template.settle({"a": ANYTHING, "b": ANYTHING}, ["run", argument], {"a": a, "b": b}, "p")
    except ValidationFailed as error:
        faults = fields(error)
    assert faults == named


def test_a_value_may_begin_with_a_dash_where_it_does_not_begin_an_argument() -> None:
    assert template.settle({"any": ANYTHING}, ["run", "-k={any}"], {"any": "-x"}, "p") == {"any": "-x"}


@pytest.mark.parametrize("pattern", ["(a+)+", "(?:a|a)*", r"(?P<x>a)", "[", "a*b*c*d*", "a{2}{3}", "*", r"a\1"])
def test_patterns_that_are_none_or_could_take_long_are_refused(pattern: str) -> None:
    fault = template.check_parameter("p.x", "x", Parameter(pattern))
    assert fault is not None
    assert fault.field == "p.x.pattern"


@pytest.mark.parametrize("pattern", [r"[a-z(+*]+", r"v[0-9]+\.[0-9]+", "smoke|full", r"\(x\)", r"[\]]", "[]a]+"])
def test_classes_escapes_and_alternatives_are_taken(pattern: str) -> None:
    re.compile(pattern)
    assert template.check_parameter("p.x", "x", Parameter(pattern)) is None


def test_no_taken_pattern_takes_long() -> None:
    worst = Parameter("a*a*a*b")
    assert template.check_parameter("p", "x", Parameter("a*a*a*")) is None
    assert template.check_parameter("p", "x", worst) is None
    began = monotonic()
    with pytest.raises(ValidationFailed):
        template.settle({"x": worst}, ["run"], {"x": "a" * template.LONGEST_VALUE}, "p")
    assert monotonic() - began < 5


def test_a_default_must_match_and_a_name_must_not_be_taken() -> None:
    wrong = template.check_parameter("p.x", "x", Parameter("[0-9]", "a"))
    taken = template.check_parameter("p.shardId", "shardId", WORD)
    assert [fault.field for fault in (wrong, taken) if fault] == ["p.x.default", "p.shardId"]
