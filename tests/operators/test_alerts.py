"""When each alert fires and when it does not, by Prometheus' own tests of rules.

A case is what series do from minute to minute, in Prometheus' notation: `0+60x10` begins at 0 and rises by 60 each
minute, ten times.
"""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.operators.conftest import PROMETHEUS, groups, promtool

Series = dict[str, str]


class Case(msgspec.Struct, frozen=True):
    """An alert, looked at after so many minutes.

    Attributes:
        fires: series with which it fires.
        labels: which it then has, besides its severity.
        rests: series with which it does not.
    """

    minutes: int
    fires: Series
    labels: dict[str, str]
    rests: Series


def of(name: str, labels: str = "") -> str:
    """A series of one server."""
    return f'{name}{{job="tms", instance="a:8000"{labels and ", "}{labels}}}'


PARTITION, COURIER, GATEWAY = 'partition="0"', 'courier="0"', 'process="gateway"'
OF_PARTITION, OF_COURIER = {"job": "tms", "partition": "0"}, {"job": "tms", "courier": "0"}
OF_JOB = {"job": "tms"}
RESULTS = 'route="/api/results", method="POST"'


def histogram(name: str, labels: str, bounds: tuple[str, str], quick: str, all_: str) -> Series:
    """A histogram of two buckets: those under the first bound, and all."""
    return {
        of(f"{name}_bucket", f'{labels}{labels and ", "}le="{bound}"'): values
        for bound, values in zip((*bounds, "+Inf"), (quick, all_, all_), strict=True)
    }


EACH = "0+600x30"
FEW = "0+500x30"

CASES = {
    "TmsGone": Case(3, {}, {}, {of("tms_build_info", 'version="1"'): "1x5"}),
    "TmsOwnerAway": Case(
        3, {of("tms_owner_up", PARTITION): "1 0x5"}, OF_PARTITION, {of("tms_owner_up", PARTITION): "1 0 1x5"}
    ),
    "TmsOwnerRestarting": Case(
        15, {of("tms_owner_claims_total", PARTITION): "7+1x20"}, OF_PARTITION,
        {of("tms_owner_claims_total", PARTITION): "7x5 8x5 9x10"},
    ),
    "TmsCourierAway": Case(
        4, {of("tms_courier_up", COURIER): "1 0x5"}, OF_COURIER, {of("tms_courier_up", COURIER): "1 0 0 1x5"}
    ),
    "TmsCourierRestarting": Case(
        15, {of("tms_courier_claims_total", COURIER): "7+1x20"}, OF_COURIER,
        {of("tms_courier_claims_total", COURIER): "7x5 8x5 9x10"},
    ),
    "TmsSchedulerAway": Case(
        4, {of("tms_scheduler_up", 'scheduler="0"'): "1 0x5"}, {"job": "tms", "scheduler": "0"},
        {of("tms_scheduler_up", 'scheduler="0"'): "1 0 0 1x5"},
    ),
    "TmsSchedulerRestarting": Case(
        30, {of("tms_process_start_time_seconds", 'process="scheduler-0"'): "1x9 2x9 3x9 4x9"},
        {"job": "tms", "instance": "a:8000", "process": "scheduler-0"},
        {of("tms_process_start_time_seconds", 'process="scheduler-0"'): "1x9 2x30"},
    ),
    "TmsEmbeddedServerAway": Case(
        3, {of("tms_embedded_up", 'server="postgres"'): "1 0x5"},
        {"job": "tms", "instance": "a:8000", "server": "postgres"},
        {of("tms_embedded_up", 'server="postgres"'): "1 0 1x5"},
    ),
    "TmsEmbeddedServerRestarting": Case(
        30, {of("tms_embedded_starts_total", 'server="postgres"'): "1x9 2x9 3x9 4x9"},
        {"job": "tms", "instance": "a:8000", "server": "postgres"},
        {of("tms_embedded_starts_total", 'server="postgres"'): "1x9 2x30"},
    ),
    "TmsServerRestarting": Case(
        30, {of("tms_process_start_time_seconds", GATEWAY): "100x5 200x5 300x5 400x20"},
        {"job": "tms", "instance": "a:8000", "process": "gateway"},
        {of("tms_process_start_time_seconds", GATEWAY): "100x15 200x20"},
    ),
    "TmsErrors": Case(
        12, {of("tms_http_requests_total", f'{RESULTS}, status="201"'): EACH,
             of("tms_http_requests_total", f'{RESULTS}, status="503"'): "0+60x30"}, OF_JOB,
        {of("tms_http_requests_total", f'{RESULTS}, status="201"'): EACH,
         of("tms_http_requests_total", f'{RESULTS}, status="422"'): "0+600x30",
         of("tms_http_requests_total", f'{RESULTS}, status="500"'): "0+1x30"},
    ),
    "TmsRequestsSlow": Case(
        20, histogram("tms_http_request_seconds", RESULTS, ("1.0", "5.0"), FEW, EACH),
        {"job": "tms", "route": "/api/results", "method": "POST"},
        {**histogram("tms_http_request_seconds", RESULTS, ("1.0", "5.0"), EACH, EACH),
         **histogram("tms_http_request_seconds", 'route="/api/webhooks/{webhookId}/validate", method="POST"',
                     ("1.0", "5.0"), FEW, EACH)},
    ),
    "TmsCommandsWaiting": Case(
        5, {of("tms_mailbox_commands", PARTITION): "3000x10"}, OF_PARTITION,
        {of("tms_mailbox_commands", PARTITION): "3000 100x10"},
    ),
    "TmsCommandsGivenUp": Case(
        10, {of("tms_mailbox_given_up_commands_total", PARTITION): "0+60x20"}, OF_JOB,
        {of("tms_mailbox_given_up_commands_total", PARTITION): "0 3x20"},
    ),
    "TmsProcessBusy": Case(
        25, {of("tms_process_cpu_seconds_total", 'process="owner-0"'): "0+58x30"}, {"job": "tms", "process": "owner-0"},
        {of("tms_process_cpu_seconds_total", 'process="owner-0"'): "0+40x30"},
    ),
    "TmsFilesRunOut": Case(
        6, {of("tms_process_open_fds", GATEWAY): "900x10", of("tms_process_max_fds", GATEWAY): "1024x10"},
        {"job": "tms", "process": "gateway"},
        {of("tms_process_open_fds", GATEWAY): "500x10", of("tms_process_max_fds", GATEWAY): "1024x10"},
    ),
    "TmsCommitsSlow": Case(
        20, histogram("tms_owner_commit_seconds", PARTITION, ("1.0", "5.0"), FEW, EACH), OF_JOB,
        histogram("tms_owner_commit_seconds", PARTITION, ("1.0", "5.0"), EACH, EACH),
    ),
    "TmsCommitsFail": Case(
        12, {of("tms_owner_failed_commits_total", PARTITION): "0+30x20"}, OF_JOB,
        {of("tms_owner_failed_commits_total", PARTITION): "0 5x20"},
    ),
    "TmsDatabasePoolFull": Case(
        12, histogram("tms_database_wait_seconds", "", ("0.5", "5.0"), FEW, EACH), OF_JOB,
        histogram("tms_database_wait_seconds", "", ("0.5", "5.0"), EACH, EACH),
    ),
    "TmsExecutionsOverdue": Case(
        4, {of("tms_owner_overdue_seconds", PARTITION): "0 60+60x10"}, OF_PARTITION,
        {of("tms_owner_overdue_seconds", PARTITION): "0 60 0x10"},
    ),
    "TmsNotMaintained": Case(
        190, {of("tms_maintained_timestamp_seconds"): "0x200"}, OF_JOB,
        {of("tms_maintained_timestamp_seconds"): "0x60 3600x60 7200x80"},
    ),
    "TmsHistoryBehind": Case(
        40, {of("tms_history_waiting_executions"): "200x50"}, OF_JOB,
        {of("tms_history_waiting_executions"): "200x20 5x50"},
    ),
    "TmsLiveLag": Case(
        12, histogram("tms_live_lag_seconds", "", ("1.0", "5.0"), FEW, EACH), OF_JOB,
        histogram("tms_live_lag_seconds", "", ("1.0", "5.0"), EACH, EACH),
    ),
    "TmsBusAway": Case(
        4, {of("tms_live_bus_up"): "1 0x10"}, {"job": "tms", "instance": "a:8000"}, {of("tms_live_bus_up"): "1 0 1x10"}
    ),
    "TmsReadersFallBehind": Case(
        25, {of("tms_live_overflows_total"): "0+60x30"}, OF_JOB, {of("tms_live_overflows_total"): "0+1x30"}
    ),
    "TmsOutboxLate": Case(
        12, {of("tms_courier_oldest_due_seconds", COURIER): "400x20"}, OF_COURIER,
        {of("tms_courier_oldest_due_seconds", COURIER): "400 10x20"},
    ),
    "TmsMostWebhooksFail": Case(
        20, {of("tms_courier_failing_webhooks", COURIER): "6x30", of("tms_courier_webhooks", COURIER): "10x30"}, OF_JOB,
        {of("tms_courier_failing_webhooks", COURIER): "4x30", of("tms_courier_webhooks", COURIER): "10x30"},
    ),
    "TmsDeliveriesGivenUp": Case(
        10, {of("tms_courier_deliveries_total", f'{COURIER}, status="failed"'): "0 0 1x20"}, OF_JOB,
        {of("tms_courier_deliveries_total", f'{COURIER}, status="failed"'): "3x20",
         of("tms_courier_deliveries_total", f'{COURIER}, status="delivered"'): "0+60x20"},
    ),
    "TmsWebhookDisabled": Case(
        10, {of("tms_courier_disabled_webhooks_total", COURIER): "0 0 1x20"}, OF_JOB,
        {of("tms_courier_disabled_webhooks_total", COURIER): "2x20"},
    ),
}  # fmt: skip


def rules() -> dict[str, Any]:
    return {rule["alert"]: rule for group in groups("alerts.yml") for rule in group["rules"]}


def in_form(name: str, case: Case, *, fires: bool) -> dict[str, Any]:
    """The case in the form of promtool's tests."""
    rule = rules()[name]
    expected = {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}
    return {
        "name": f"{name} {'fires' if fires else 'rests'}",
        "interval": "1m",
        "input_series": [
            {"series": series, "values": values} for series, values in (case.fires if fires else case.rests).items()
        ],
        "alert_rule_test": [
            {"eval_time": f"{case.minutes}m", "alertname": name, "exp_alerts": [expected] if fires else []}
        ],
    }


def test_every_alert_fires_when_it_should_and_rests_otherwise(tmp_path: Path) -> None:
    assert CASES.keys() == rules().keys()
    written = tmp_path / "tests.yml"
    document = {
        "rule_files": [str(PROMETHEUS / name) for name in ("rules.yml", "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [in_form(name, case, fires=fires) for name, case in CASES.items() for fires in (True, False)],
    }
    written.write_text(yaml.safe_dump(document))
    promtool("test", "rules", written)


def test_servers_that_share_an_owner_raise_its_alert_once(tmp_path: Path) -> None:
    shared = {f'tms_owner_up{{job="tms", instance="{server}:8000", partition="0"}}': "0x5" for server in ("a", "b")}
    case = Case(3, shared, OF_PARTITION, {})
    written = tmp_path / "tests.yml"
    document = {"rule_files": [str(PROMETHEUS / "alerts.yml")], "tests": [in_form("TmsOwnerAway", case, fires=True)]}
    written.write_text(yaml.safe_dump(document))
    promtool("test", "rules", written)
