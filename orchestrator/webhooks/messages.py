"""The bodies that webhooks get: the envelope (X-073), and a plausible example of every event."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from orchestrator.executions import evolution, payloads
from orchestrator.executions.events import (
    AnyEvent,
    Cancelled,
    Completed,
    Created,
    Failed,
    Progressed,
    ShardEnded,
    ShardStarted,
    Started,
)
from orchestrator.executions.model import (
    Browser,
    Configuration,
    Environment,
    ReasonCode,
    ShardStatus,
    TestSuite,
    Totals,
    TriggerSource,
)
from orchestrator.executions.payloads import FailedTest
from orchestrator.timestamps import to_text, truncate
from orchestrator.webhooks.model import DisabledReason, WebhookEvent, WebhookStatus

Json = dict[str, Any]

TEST_EVENT: Final = "webhook.test"
"""What `validate` sends; it cannot be subscribed to."""


def body(event: str, execution_id: str | None, at_text: str, data_text: str) -> str:
    """The body of a message: `event`, `timestamp`, `executionId` where it is about one, `data`.

    Args:
        event: its name.
        execution_id: whose event it is; None if it is not one of an execution.
        at_text: its time as its family prints it.
        data_text: its `data` as JSON text.
    """
    about = "" if execution_id is None else f'"executionId":"{execution_id}",'
    return f'{{"event":"{event}","timestamp":"{at_text}",{about}"data":{data_text}}}'


def test(webhook_id: str, now: datetime) -> str:
    """The body of the request that validates a webhook (X-039)."""
    return body(TEST_EVENT, None, to_text(now), _text({"webhookId": webhook_id}))


def disabled(webhook_id: str, code: DisabledReason, reason: str, now: datetime) -> str:
    """The body of `webhook.disabled`. It keeps the URL to itself: one receiver's address may be secret to another."""
    data = {"webhookId": webhook_id, "status": WebhookStatus.DISABLED, "reason": reason, "reasonCode": code}
    return body(WebhookEvent.WEBHOOK_DISABLED, None, to_text(now), _text(data))


def sample(event: WebhookEvent, now: datetime) -> str:
    """The body of an event that did not happen, for a receiver to be tried with."""
    if event is WebhookEvent.WEBHOOK_DISABLED:
        return disabled(_WEBHOOK_ID, DisabledReason.GONE, "The endpoint answered 410 Gone", now)
    if event in _TEST_MANAGEMENT:
        return body(event, None, _in_seconds(now), _text(_TEST_MANAGEMENT[event]))
    created, *others = _story(event, truncate(now))
    execution = evolution.evolve(None, created)
    for one in others:
        execution = evolution.evolve(execution, one)
    data = payloads.data(execution, others[-1], _FAILED_TESTS)
    return body(event, execution.execution_id, to_text(now), _text(data))


def _text(data: Json) -> str:
    return msgspec.json.encode(data).decode()


def _in_seconds(moment: datetime) -> str:
    """As test management prints times."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


_WEBHOOK_ID: Final = "wh_abc123def456"
_EXECUTION_ID: Final = "exec_2025080412345"

_RAN_FOR: Final = timedelta(milliseconds=630_000)
_SHARD_MS: Final = 210_000
_SHARD_TOTALS: Final = (
    Totals(total=38, passed=35, failed=2, skipped=1, flaky=0),
    Totals(total=38, passed=36, failed=2, skipped=0, flaky=1),
    Totals(total=37, passed=35, failed=1, skipped=1, flaky=0),
    Totals(total=37, passed=34, failed=3, skipped=0, flaky=0),
)
_FAILED_TESTS: Final = (FailedTest("Login should work", "tests/auth.spec.js", "Expected element to be visible", "1"),)


def _story(event: WebhookEvent, now: datetime) -> tuple[AnyEvent, ...]:
    """An execution in four shards from its creation to this event, which happens now."""
    begun_at = now if event is WebhookEvent.EXECUTION_STARTED else now - _RAN_FOR
    deadline = begun_at + timedelta(hours=1)
    created = Created(
        at=begun_at,
        execution_id=_EXECUTION_ID,
        tenant_id=0,
        test_suite=TestSuite.SMOKE,
        environment=Environment.STAGING,
        provider="github-actions",
        trigger_source=TriggerSource.API,
        configuration=Configuration(shards=len(_SHARD_TOTALS), browsers=(Browser.CHROMIUM, Browser.FIREFOX)),
        metadata='{"branch":"main","commit":"abc123","triggeredBy":"developer@example.com"}',
        base_url="https://tms.example.com",
        deadline=deadline,
    )
    reports = [
        ShardEnded(
            at=now,
            shard_id=str(number),
            status=ShardStatus.COMPLETED,
            totals=totals,
            started_at=begun_at,
            duration_ms=_SHARD_MS,
        )
        for number, totals in enumerate(_SHARD_TOTALS, start=1)
    ]
    error = msgspec.structs.replace(reports[1], status=ShardStatus.ERROR)
    after_start: dict[WebhookEvent, list[AnyEvent]] = {
        WebhookEvent.EXECUTION_STARTED: [],
        WebhookEvent.EXECUTION_PROGRESS: [*reports[:2], Progressed(at=now)],
        WebhookEvent.SHARD_STARTED: [ShardStarted(at=now, shard_id="1")],
        WebhookEvent.SHARD_COMPLETED: [reports[0]],
        WebhookEvent.EXECUTION_COMPLETED: [*reports, Completed(at=now)],
        WebhookEvent.EXECUTION_FAILED: [
            reports[0],
            error,
            Failed(at=now, reason_code=ReasonCode.SHARD_ERROR, reason="Shard 2 ended in error"),
        ],
        WebhookEvent.EXECUTION_CANCELLED: [
            reports[0],
            Cancelled(at=now, reason_code=ReasonCode.CANCELLED_BY_USER, reason="Superseded by a newer build"),
        ],
    }
    return (created, Started(at=begun_at, deadline=deadline), *after_start[event])


_PROJECT_ID: Final = "5b0f4a86-3f0e-4c57-9d5e-0c8f2f6a7b11"
_CASE: Final[Json] = {
    "id": "c2a9f7d4-81be-4f7a-8f5d-6f1f0a3b9e22",
    "projectId": _PROJECT_ID,
    "title": "Log in with a valid password",
    "tags": ["authentication", "smoke"],
    "automationStatus": "MANUAL",
    "priority": "HIGH",
}
_TEST_MANAGEMENT: Final[dict[WebhookEvent, Json]] = {
    WebhookEvent.TEST_CASE_CREATED: _CASE,
    WebhookEvent.TEST_CASE_UPDATED: {**_CASE, "automationStatus": "AUTOMATED"},
    WebhookEvent.TEST_RUN_COMPLETED: {
        "id": "0d3b6a52-7c1f-4e8b-a4d9-92e5c7f81a33",
        "projectId": _PROJECT_ID,
        "name": "Release 1.0, acceptance",
        "status": "COMPLETED",
        "results": {"passed": 45, "failed": 3, "blocked": 1, "skipped": 0},
    },
    WebhookEvent.SESSION_COMPLETED: {
        "id": "9e4c1d70-2a6b-4b39-b7c8-15f0d8e24b44",
        "projectId": _PROJECT_ID,
        "name": "Exploring the checkout",
        "status": "COMPLETED",
        "duration": 3600,
    },
    WebhookEvent.ISSUE_CREATED: {
        "id": "f18d2e95-6b47-4a0c-8e31-a7c3b5096c55",
        "projectId": _PROJECT_ID,
        "name": "SHOP-123",
        "title": "The total ignores the discount",
        "priority": "HIGH",
        "severity": "CRITICAL",
    },
    WebhookEvent.MILESTONE_COMPLETED: {
        "id": "63a5c0b8-d94e-4f12-9b06-e8d7f2413d66",
        "projectId": _PROJECT_ID,
        "name": "Release 1.0",
        "dueDate": "2024-12-31",
    },
}
