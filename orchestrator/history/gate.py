"""Gates: whether an execution is good enough, by rules such as `new_failures=0,flaky<=2%,duration_growth<=20%`.

A rule is a measure, `=` or `<=` (which mean the same: at most), and a number, or with `%` a share. Shares are of the
execution's tests; that of `duration_growth` is of the time that former executions took.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from statistics import median

import msgspec

from orchestrator.errors import FieldError, ValidationFailed

FORMER_EXECUTIONS = 10
"""With how many former executions of the baseline an execution is compared."""
DEFAULT_RULES = "incomplete=0,new_failures=0"


class Measure(StrEnum):
    """What a rule sets a limit to.

    NEW_FAILURES: tests that failed, and in no former execution. FAILURES: tests that failed. Neither counts tests in
    quarantine. FLAKY: tests that passed on retry. MISSING: tests of the last completed former execution that this one
    did not report. DURATION_GROWTH: how much longer it took than the median of the former ones, in percent.
    INCOMPLETE: shards without a result of their own, and one for a plan whose tests were not all reported, or for an
    execution that broke for another reason.
    """

    NEW_FAILURES = "new_failures"
    FAILURES = "failures"
    FLAKY = "flaky"
    MISSING = "missing"
    DURATION_GROWTH = "duration_growth"
    INCOMPLETE = "incomplete"


class Verdict(StrEnum):
    """What becomes of a gate; pending while the execution has not ended."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"


class Rule(msgspec.Struct, frozen=True):
    """A measure may be this much, or this much percent, at the most."""

    measure: Measure
    most: float
    is_share: bool

    def __str__(self) -> str:
        most = f"{self.most:.6f}".rstrip("0").rstrip(".")
        return f"{self.measure}<={most}{'%' if self.is_share else ''}"


class NamedTest(msgspec.Struct, frozen=True, rename="camel"):
    """A test, for people and programs."""

    file: str | None
    title: str
    test_id: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an execution that ended, and of the former ones that it is compared with.

    Attributes:
        tests: how many it ran, each counted once.
        failed, flaky: of them, those that were listed; those in quarantine too.
        failed_unlisted, flaky_unlisted: how many more its runners counted than they listed.
        quarantined: ids of failed tests in quarantine.
        failed_before: ids of failed tests that failed in a former execution.
        missing: of the last completed former execution; None without one, and for a rerun, which leaves tests out.
        incomplete: shards without a result of their own, the plan where its tests were not all reported, or the
            execution itself where it broke otherwise.
        duration_ms: how long it took; None if it never started.
        former_durations_ms: of completed former executions.
    """

    tests: int
    failed: Sequence[NamedTest]
    flaky: Sequence[NamedTest]
    failed_unlisted: int
    flaky_unlisted: int
    quarantined: frozenset[str]
    failed_before: frozenset[str]
    missing: Sequence[NamedTest] | None
    incomplete: Sequence[str]
    duration_ms: int | None
    former_durations_ms: Sequence[int]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says.

    Attributes:
        value: what was measured, in percent where the rule is; None where there is nothing to compare with.
        passed: whether it is no more than the rule allows; what cannot be compared passes.
        tests: that were counted.
        unlisted: how many were besides, of which nothing else is known.
        parts: shards that were counted, the plan, or the execution.
    """

    rule: Rule
    value: float | None
    passed: bool
    tests: Sequence[NamedTest] = ()
    unlisted: int = 0
    parts: Sequence[str] = ()


def rules_of(text: str) -> tuple[Rule, ...]:
    """Read rules, with commas between them.

    Raises:
        ValidationFailed: one of them is none; names it.
    """
    rules = tuple(map(_rule, text.split(",")))
    measures = [rule.measure for rule in rules]
    for measure in measures:
        if measures.count(measure) > 1:
            raise _fault(f"{measure} has two rules; give it one")
    return rules


def judge(rules: Sequence[Rule], evidence: Evidence) -> tuple[Verdict, list[Finding]]:
    """Measure an execution that ended: it passes if every rule does."""
    findings = [_MEASURES[rule.measure](rule, evidence) for rule in rules]
    passed = all(finding.passed for finding in findings)
    return Verdict.PASSED if passed else Verdict.FAILED, findings


_RULE = re.compile(r"\s*(?P<measure>[a-zA-Z_]+)\s*<?=\s*(?P<most>\d{1,9}(\.\d{1,6})?)\s*(?P<share>%?)\s*")
_NO_SHARE = frozenset({Measure.INCOMPLETE})
_ONLY_SHARE = frozenset({Measure.DURATION_GROWTH})


def _rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise _fault(f"{_quoted(text)} is no rule; write one as in new_failures=0 or flaky<=2%")
    try:
        measure = Measure(found["measure"])
    except ValueError:
        raise _fault(f"There is no rule {_quoted(found['measure'])}; there are {', '.join(Measure)}") from None
    is_share = found["share"] == "%"
    if measure in _ONLY_SHARE and not is_share:
        raise _fault(f"{measure} is in percent, as in {measure}<=20%")
    if measure in _NO_SHARE and is_share:
        raise _fault(f"{measure} is a number, as in {measure}=0")
    return Rule(measure, float(found["most"]), is_share)


def _fault(message: str) -> ValidationFailed:
    return ValidationFailed(FieldError("rules", message))


def _quoted(text: str) -> str:
    shown = text.strip()
    return repr(shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…")


_LONGEST_QUOTE = 50


def _failures(rule: Rule, evidence: Evidence) -> Finding:
    tests = [test for test in evidence.failed if test.test_id not in evidence.quarantined]
    return _counted(rule, evidence, tests, evidence.failed_unlisted)


def _new_failures(rule: Rule, evidence: Evidence) -> Finding:
    known = evidence.quarantined | evidence.failed_before
    tests = [test for test in evidence.failed if test.test_id not in known]
    return _counted(rule, evidence, tests, evidence.failed_unlisted)


def _flaky(rule: Rule, evidence: Evidence) -> Finding:
    return _counted(rule, evidence, evidence.flaky, evidence.flaky_unlisted)


def _missing(rule: Rule, evidence: Evidence) -> Finding:
    if evidence.missing is None:
        return Finding(rule=rule, value=None, passed=True)
    return _counted(rule, evidence, evidence.missing, 0)


def _counted(rule: Rule, evidence: Evidence, tests: Sequence[NamedTest], unlisted: int) -> Finding:
    value: float = len(tests) + unlisted
    if rule.is_share:
        # Without any test to be a share of, one that is counted is all there is.
        value = 100 * value / max(evidence.tests, 1)
    listed = sorted(tests, key=_by_name)
    return Finding(rule=rule, value=value, passed=value <= rule.most, tests=listed, unlisted=unlisted)


def _by_name(test: NamedTest) -> tuple[str, str]:
    return test.file or "", test.title


def _duration_growth(rule: Rule, evidence: Evidence) -> Finding:
    former = median(evidence.former_durations_ms) if evidence.former_durations_ms else 0
    if evidence.duration_ms is None or former <= 0:
        return Finding(rule=rule, value=None, passed=True)
    value = 100 * (evidence.duration_ms / former - 1)
    return Finding(rule=rule, value=value, passed=value <= rule.most)


def _incomplete(rule: Rule, evidence: Evidence) -> Finding:
    value = len(evidence.incomplete)
    return Finding(rule=rule, value=value, passed=value <= rule.most, parts=evidence.incomplete)


_MEASURES: dict[Measure, Callable[[Rule, Evidence], Finding]] = {
    Measure.NEW_FAILURES: _new_failures,
    Measure.FAILURES: _failures,
    Measure.FLAKY: _flaky,
    Measure.MISSING: _missing,
    Measure.DURATION_GROWTH: _duration_growth,
    Measure.INCOMPLETE: _incomplete,
}
