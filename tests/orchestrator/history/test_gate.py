"""Rules of gates: how they are read, and what they say."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.errors import ValidationFailed
from orchestrator.history.gate import Evidence, Measure, NamedTest, Rule, Verdict, judge, rules_of

NAMES = [NamedTest(f"tests/{number % 3}.py", f"test {number}", f"test_{number:020}") for number in range(12)]
tests = some.lists(some.sampled_from(NAMES), unique=True, max_size=12)
ids = some.frozensets(some.sampled_from([test.test_id for test in NAMES]))


def proof(**known: Any) -> Evidence:
    """What is known of a good execution, but for what is named."""
    good: dict[str, Any] = {
        "tests": 100,
        "failed": [],
        "flaky": [],
        "failed_unlisted": 0,
        "flaky_unlisted": 0,
        "quarantined": frozenset(),
        "failed_before": frozenset(),
        "missing": [],
        "incomplete": [],
        "duration_ms": 1000,
        "former_durations_ms": [1000],
    }
    return Evidence(**good | known)


evidences = some.builds(
    proof,
    tests=some.integers(0, 200),
    failed=tests,
    flaky=tests,
    failed_unlisted=some.integers(0, 5),
    quarantined=ids,
    failed_before=ids,
    missing=some.none() | tests,
    incomplete=some.lists(some.just("shard 1: lost"), max_size=3),
    duration_ms=some.none() | some.integers(0, 10**9),
    former_durations_ms=some.lists(some.integers(0, 10**9), max_size=10),
)


def value(rule: str, evidence: Evidence) -> float | None:
    _, [finding] = judge(rules_of(rule), evidence)
    return finding.value


def verdict(rules: str, evidence: Evidence) -> Verdict:
    return judge(rules_of(rules), evidence)[0]


def test_rules_are_read_in_their_order() -> None:
    assert rules_of(" new_failures=0,flaky <= 2.5%, duration_growth<=20% ") == (
        Rule(Measure.NEW_FAILURES, 0, is_share=False),
        Rule(Measure.FLAKY, 2.5, is_share=True),
        Rule(Measure.DURATION_GROWTH, 20, is_share=True),
    )


@given(some.lists(some.sampled_from(Measure), unique=True, min_size=1), some.decimals(0, 10**9 - 1, places=3))
def test_what_is_printed_is_read_again(measures: list[Measure], most: Decimal) -> None:
    rules = tuple(Rule(measure, float(most), measure is Measure.DURATION_GROWTH) for measure in measures)
    assert rules_of(",".join(map(str, rules))) == rules


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("new_failures", "'new_failures'"),
        ("new_failures>=1", "'new_failures>=1'"),
        ("new_failures=-1", "'new_failures=-1'"),
        ("new_failures=0,", "''"),
        ("flaky=0,colour<=3", "colour"),
        ("duration_growth<=20", "duration_growth"),
        ("incomplete<=1%", "incomplete"),
        ("flaky=1,flaky=2", "flaky"),
        ("flaky=1e9", "'flaky=1e9'"),
        ("flaky=" + "9" * 500, "flaky=9"),
    ],
)
def test_what_is_no_rule_is_named(text: str, named: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        rules_of(text)
    [detail] = caught.value.details
    assert detail.field == "rules"
    assert named in detail.message
    assert len(detail.message) < 300


def test_a_good_execution_passes_every_rule() -> None:
    assert verdict(",".join(f"{one}=0{'%' if one is Measure.DURATION_GROWTH else ''}" for one in Measure), proof()) == (
        Verdict.PASSED
    )


@given(evidences, some.sampled_from(Measure), some.integers(0, 30), some.integers(0, 30))
def test_more_may_be_wrong_where_more_is_allowed(evidence: Evidence, measure: Measure, low: int, more: int) -> None:
    share = "%" if measure is Measure.DURATION_GROWTH else ""
    strict, lax = (verdict(f"{measure}={most}{share}", evidence) for most in (low, low + more))
    assert (strict, lax) != (Verdict.PASSED, Verdict.FAILED)


@given(evidences, some.lists(some.sampled_from(Measure), unique=True, min_size=1))
def test_an_execution_passes_if_it_passes_every_rule(evidence: Evidence, measures: list[Measure]) -> None:
    rules = [f"{measure}=1{'%' if measure is Measure.DURATION_GROWTH else ''}" for measure in measures]
    together, findings = judge(rules_of(",".join(rules)), evidence)
    assert (together is Verdict.PASSED) == all(verdict(rule, evidence) is Verdict.PASSED for rule in rules)
    assert [finding.rule.measure for finding in findings] == measures


@given(evidences)
def test_failures_are_new_quarantined_or_known(evidence: Evidence) -> None:
    failures, new = value("failures=0", evidence), value("new_failures=0", evidence)
    counted = [test.test_id for test in evidence.failed if test.test_id not in evidence.quarantined]
    assert failures == len(counted) + evidence.failed_unlisted
    assert new == failures - len(evidence.failed_before & {*counted})


@given(evidences)
def test_a_failure_in_quarantine_never_matters(evidence: Evidence) -> None:
    excused = {name: getattr(evidence, name) for name in evidence.__struct_fields__}
    excused["quarantined"] = frozenset(test.test_id for test in evidence.failed)
    excused["failed_unlisted"] = 0
    assert verdict("failures=0,new_failures=0", Evidence(**excused)) is Verdict.PASSED


def test_shares_are_of_the_tests_that_ran() -> None:
    assert value("flaky<=1%", proof(tests=200, flaky=NAMES[:3])) == 1.5
    assert value("failures<=1%", proof(tests=0, failed=NAMES[:1])) == 100


@pytest.mark.parametrize(
    ("took", "former", "growth"),
    [(1500, [1000], 50), (500, [1000], -50), (1000, [1, 1000, 9000], 0), (1000, [], None), (None, [1000], None),
     (1000, [0], None)],
)  # fmt: skip
def test_growth_is_against_the_median_of_former_executions(
    took: int | None, former: list[int], growth: float | None
) -> None:
    assert value("duration_growth<=20%", proof(duration_ms=took, former_durations_ms=former)) == growth


def test_nothing_to_compare_with_passes_and_is_said() -> None:
    evidence = proof(missing=None, former_durations_ms=[])
    judged, findings = judge(rules_of("missing=0,duration_growth<=0%"), evidence)
    assert (judged, [finding.value for finding in findings]) == (Verdict.PASSED, [None, None])


def test_what_was_counted_is_named_in_the_order_of_files() -> None:
    _, [failures, lost] = judge(
        rules_of("failures=1,incomplete=0"), proof(failed=NAMES[:4], incomplete=["shard 2: lost"], failed_unlisted=2)
    )
    assert [test.title for test in failures.tests] == ["test 0", "test 3", "test 1", "test 2"]
    assert (failures.value, failures.unlisted) == (6, 2)
    assert (lost.value, lost.parts, lost.passed) == (1, ["shard 2: lost"], False)
