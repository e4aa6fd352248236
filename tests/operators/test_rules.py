"""Recording rules and alerts: Prometheus takes them, and they speak of what a server exports."""

import re

from tests.operators.conftest import PROMETHEUS, groups, promtool
from tests.operators.exported import Exported
from tests.running import ROOT

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()


def test_prometheus_takes_the_files() -> None:
    promtool("check", "rules", PROMETHEUS / "rules.yml", PROMETHEUS / "alerts.yml")


def test_every_rule_speaks_of_what_a_server_exports(exported: Exported, recorded: dict[str, frozenset[str]]) -> None:
    rules = [rule for name in ("rules.yml", "alerts.yml") for group in groups(name) for rule in group["rules"]]
    unknown = {rule.get("record") or rule["alert"]: exported.unknown(rule["expr"], recorded) for rule in rules}
    assert {name: found for name, found in unknown.items() if found} == {}


def test_every_alert_says_what_to_do_and_has_a_section_in_the_document() -> None:
    headings = re.findall(r"^### (\w+)$", DOCUMENT, re.MULTILINE)
    alerts = [rule for group in groups("alerts.yml") for rule in group["rules"]]
    assert [rule["alert"] for rule in alerts] == headings
    for rule in alerts:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/metrics.md#{rule['alert'].lower()}"


def test_every_anchor_of_the_table_is_there() -> None:
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", DOCUMENT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", DOCUMENT)) <= headings


def test_an_unknown_name_or_label_is_found(exported: Exported, recorded: dict[str, frozenset[str]]) -> None:
    for expression, unknown in (
        ("rate(tms_no_such_total[5m])", ["tms_no_such_total"]),
        ('tms_owner_up{shard="1"}', ["tms_owner_up{shard}"]),
        ("max by (partition, route) (tms_owner_up)", ["by (route)"]),
        ('sum by (job) (rate(tms_http_requests_total{status=~"5.."}[5m])) > 2', []),
        ("tms:no_such:rate5m", ["tms:no_such:rate5m"]),
    ):
        assert exported.unknown(expression, recorded) == unknown
