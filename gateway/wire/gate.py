"""Gates on the wire."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.wire.executions import SearchText
from orchestrator.history.gate import DEFAULT_RULES, Finding, Measure, NamedTest, Verdict
from storage.gate import Baseline

MOST_TESTS = 100
"""So many of a rule's tests are named."""

_DIGITS = 2

RulesText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        description="rules with commas between them, such as `new_failures=0,flaky<=2%,duration_growth<=20%`",
    ),
]


class GateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """By which rules; and the branch to compare with: the main branch, or else its own, unless it is named."""

    rules: RulesText = DEFAULT_RULES
    baseline: SearchText | None = None


class RuleFinding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one rule says.

    Attributes:
        rule: as it was read.
        value, most: what was measured and what may be, both in percent where `percent`; `value` is null where there
            is nothing to compare with, which passes.
        tests: those that were counted, the first `MOST_TESTS`; `tests_total` says how many there are.
        unlisted: how many more runners counted than they listed.
        parts: shards that were counted, the plan, or the execution.
    """

    rule: str
    measure: Measure
    value: float | None
    most: float
    percent: bool
    passed: bool
    tests: list[NamedTest]
    tests_total: int
    unlisted: int
    parts: list[str]


class ComparedWith(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The former executions, newest first, all of one branch; null stands for those without one."""

    branch: str | None
    execution_ids: list[str]


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The verdict on an execution; while it is pending there is nothing else.

    Attributes:
        quarantined: tests that failed and do not count, the first `MOST_TESTS`.
    """

    execution_id: str
    verdict: Verdict
    rules: list[RuleFinding]
    compared_with: ComparedWith | None
    quarantined: list[NamedTest]


def printed(finding: Finding) -> RuleFinding:
    """What one rule says, as it is printed."""
    rule = finding.rule
    return RuleFinding(
        rule=str(rule),
        measure=rule.measure,
        value=None if finding.value is None else round(finding.value, _DIGITS),
        most=rule.most,
        percent=rule.is_share,
        passed=finding.passed,
        tests=list(finding.tests[:MOST_TESTS]),
        tests_total=len(finding.tests),
        unlisted=finding.unlisted,
        parts=list(finding.parts),
    )


def pending(execution_id: str) -> GateVerdict:
    """Of an execution that has not ended."""
    return GateVerdict(execution_id=execution_id, verdict=Verdict.PENDING, rules=[], compared_with=None, quarantined=[])


def final(
    execution_id: str,
    verdict: Verdict,
    findings: Sequence[Finding],
    compared: Baseline,
    quarantined: Sequence[NamedTest],
) -> GateVerdict:
    """Of an execution that ended."""
    former = [one.execution_id for one in compared.executions]
    return GateVerdict(
        execution_id=execution_id,
        verdict=verdict,
        rules=[printed(finding) for finding in findings],
        compared_with=ComparedWith(branch=compared.branch or None, execution_ids=former),
        quarantined=list(quarantined[:MOST_TESTS]),
    )
