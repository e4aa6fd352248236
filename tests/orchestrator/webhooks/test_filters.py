"""Which events a webhook is told of."""

import msgspec
import pytest

from orchestrator.executions.model import Environment, TestSuite
from orchestrator.webhooks.filters import Subject, matches
from orchestrator.webhooks.model import Filters, Subscription, WebhookStatus

ALL = Filters()
SUBJECT = Subject(
    test_suite="smoke", environment="staging", branch="main", provider="github-actions", status="completed"
)


def subscribed(filters: Filters = ALL, *, status: WebhookStatus = WebhookStatus.ACTIVE) -> Subscription:
    return Subscription(
        webhook_id="wh_1",
        tenant_id=1,
        courier=0,
        events=frozenset({"shard.completed", "test_run.completed"}),
        filters=filters,
        status=status,
    )


def test_only_events_that_were_asked_for_are_told() -> None:
    assert matches(subscribed(), "shard.completed", SUBJECT)
    assert not matches(subscribed(), "shard.started", SUBJECT)


def test_without_filters_an_execution_of_which_nothing_is_known_passes() -> None:
    assert matches(subscribed(), "shard.completed", Subject(None, None, None, None, None))


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters(test_suites=(TestSuite.REGRESSION, TestSuite.SMOKE)), True),
        (Filters(test_suites=(TestSuite.REGRESSION,)), False),
        (Filters(environments=(Environment.STAGING,)), True),
        (Filters(environments=(Environment.DEV, Environment.PRODUCTION)), False),
        (Filters(branches=("main",)), True),
        (Filters(branches=("mai", "main2")), False),
        (Filters(providers=("github-actions",)), True),
        (Filters(providers=("jenkins",)), False),
        (Filters(statuses=("failed", "completed")), True),
        (Filters(statuses=("failed",)), False),
    ],
)
def test_a_filter_lets_pass_what_it_names(filters: Filters, passes: bool) -> None:  # noqa: FBT001 - a column
    assert matches(subscribed(filters), "shard.completed", SUBJECT) is passes


def test_all_filters_must_let_it_pass() -> None:
    filters = Filters(test_suites=(TestSuite.SMOKE,), environments=(Environment.STAGING,))
    assert matches(subscribed(filters), "shard.completed", SUBJECT)
    for other in (
        msgspec.structs.replace(SUBJECT, test_suite="regression"),
        msgspec.structs.replace(SUBJECT, environment="dev"),
    ):
        assert not matches(subscribed(filters), "shard.completed", other)


def test_what_is_unknown_passes_no_filter_that_names_anything() -> None:
    unknown = msgspec.structs.replace(SUBJECT, branch=None)
    assert not matches(subscribed(Filters(branches=("main",))), "shard.completed", unknown)
    assert matches(subscribed(Filters(providers=("github-actions",))), "shard.completed", unknown)


def test_filters_hold_back_no_event_without_an_execution() -> None:
    picky = Filters(test_suites=(TestSuite.API,), statuses=("failed",))
    assert matches(subscribed(picky), "test_run.completed", None)
    assert not matches(subscribed(picky), "issue.created", None)


@pytest.mark.parametrize("status", list(WebhookStatus))
def test_a_webhook_that_is_not_active_matches_too_so_that_what_it_missed_is_known(status: WebhookStatus) -> None:
    assert matches(subscribed(status=status), "shard.completed", SUBJECT)
