"""What actors and mailbox measure, as it is exported."""

from datetime import timedelta
from typing import Any

import pytest

from actors.measures import OF_COURIER, OF_OWNER, CourierMeasures, OwnerMeasures, of_process
from orchestrator.webhooks.model import DeliveryStatus
from storage.deliveries import Attempt
from tests import registrations
from tests.measured import measured
from tests.registrations import NOW

IDLE = dict.fromkeys((number.key for number in (*OF_OWNER, *OF_COURIER)), 0.0)


def attempt(**fields: Any) -> Attempt:
    return registrations.attempt(registrations.webhook(1), "dlv_1", **fields)


def test_a_commit_counts_its_commands_tests_and_events() -> None:
    measures = OwnerMeasures(3)
    measures.committed(5, 100, {"shard.completed": 2}, 0.02)
    measures.committed(1, 0, {}, 0.3)
    told = measures.families(IDLE | {"commands": 6})
    assert measured(told, "tms_owner_commands_total", partition="3") == 6
    assert measured(told, "tms_owner_tests_total", partition="3") == 100
    assert measured(told, "tms_owner_events_total", partition="3", event="shard.completed") == 2
    assert measured(told, "tms_owner_events_total", partition="3", event="execution.failed") == 0
    assert measured(told, "tms_owner_commit_commands_bucket", partition="3", le="4.0") == 1
    assert measured(told, "tms_owner_commit_seconds_bucket", partition="3", le="0.025") == 1
    assert measured(told, "tms_owner_commit_seconds_count", partition="3") == 2


def test_claims_that_are_not_known_at_the_moment_are_no_fall_to_zero() -> None:
    measures = OwnerMeasures(0)
    assert measured(measures.families(IDLE), "tms_owner_claims_total") is None
    assert measured(measures.families(IDLE | {"epoch": 7}), "tms_owner_claims_total") == 7


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        ({"status_code": 204}, "2xx"),
        ({"status_code": 307}, "3xx"),
        ({"status_code": 410}, "4xx"),
        ({"status_code": 503}, "5xx"),
        ({"status_code": 999}, "other"),
        ({"status_code": None, "error": "Timed out after 15 s"}, "none"),
    ],
)
def test_attempts_are_told_apart_by_their_answer(outcome: dict[str, Any], answer: str) -> None:
    measures = CourierMeasures(1)
    measures.attempted(attempt(**outcome), is_retry=False)
    told = measures.families(IDLE)
    counted = {each: measured(told, "tms_courier_attempts_total", answer=each) for each in ("2xx", "3xx", "4xx", "5xx")}
    counted |= {each: measured(told, "tms_courier_attempts_total", answer=each) for each in ("other", "none")}
    assert counted == dict.fromkeys(counted, 0) | {answer: 1}


def test_a_delivery_counts_once_it_is_over_and_its_retries_count_as_such() -> None:
    measures = CourierMeasures(1)
    late = NOW - timedelta(seconds=30)
    measures.attempted(attempt(status_code=500, due_at=NOW + timedelta(seconds=5), was_due_at=late), is_retry=False)
    measures.attempted(attempt(status_code=200, number=2), is_retry=True)
    measures.attempted(attempt(status_code=500), is_retry=False)
    told = measures.families(IDLE)
    assert measured(told, "tms_courier_retries_total") == 1
    assert measured(told, "tms_courier_deliveries_total", status=DeliveryStatus.DELIVERED) == 1
    assert measured(told, "tms_courier_deliveries_total", status=DeliveryStatus.FAILED) == 1
    assert measured(told, "tms_courier_late_seconds_bucket", le="15.0") == 2
    assert measured(told, "tms_courier_late_seconds_bucket", le="60.0") == 3


def test_a_process_tells_of_itself_under_its_name() -> None:
    told = list(of_process("owner-5"))
    assert (measured(told, "tms_process_resident_memory_bytes", process="owner-5") or 0) > 1_000_000
    assert (measured(told, "tms_process_open_fds", process="owner-5") or 0) > 0
