"""What webhooks get, as the documents print it."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.webhooks import messages
from orchestrator.webhooks.model import DisabledReason, WebhookEvent

NOW = datetime(2025, 8, 4, 14, 35, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
PRINTED = "2025-08-04T12:35:00.123Z"

OF_EXECUTIONS = [event for event in WebhookEvent if event.startswith(("execution.", "shard."))]
OF_WEBHOOKS = [WebhookEvent.WEBHOOK_DISABLED]
OF_TEST_MANAGEMENT = [event for event in WebhookEvent if event not in OF_EXECUTIONS + OF_WEBHOOKS]

RESULTS = {"total", "passed", "failed", "skipped", "flaky"}


def sample(event: WebhookEvent) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(messages.sample(event, NOW))
    return decoded


def test_a_body_is_four_keys_in_the_documented_order() -> None:
    text = messages.body("shard.started", "exec_1", PRINTED, '{"shardId":"1","größe":1e3}')
    assert text == (
        f'{{"event":"shard.started","timestamp":"{PRINTED}","executionId":"exec_1",'
        '"data":{"shardId":"1","größe":1e3}}'
    )
    assert list(json.loads(text)) == ["event", "timestamp", "executionId", "data"]


def test_what_is_not_about_an_execution_has_three() -> None:
    text = messages.body("issue.created", None, "2024-01-01T00:00:00Z", "{}")
    assert text == '{"event":"issue.created","timestamp":"2024-01-01T00:00:00Z","data":{}}'


@pytest.mark.parametrize("event", OF_EXECUTIONS)
def test_samples_of_executions_look_as_documented(event: WebhookEvent) -> None:
    body = sample(event)
    assert list(body) == ["event", "timestamp", "executionId", "data"]
    assert (body["event"], body["timestamp"]) == (event, PRINTED)
    assert re.fullmatch(r"exec_\d+", body["executionId"])


@pytest.mark.parametrize("event", OF_TEST_MANAGEMENT)
def test_samples_of_test_management_look_as_documented(event: WebhookEvent) -> None:
    body = sample(event)
    assert list(body) == ["event", "timestamp", "data"]
    assert (body["event"], body["timestamp"]) == (event, "2025-08-04T12:35:00Z")
    assert {"id", "projectId"} < body["data"].keys()


def test_the_sample_of_a_start_has_the_documented_data() -> None:
    assert sample(WebhookEvent.EXECUTION_STARTED)["data"] == {
        "testSuite": "smoke",
        "environment": "staging",
        "provider": "github-actions",
        "configuration": {"shards": 4, "browsers": ["chromium", "firefox"], "parallel": True},
        "metadata": {"branch": "main", "commit": "abc123", "triggeredBy": "developer@example.com"},
    }


def test_the_sample_of_a_shards_end_has_the_documented_data() -> None:
    body = sample(WebhookEvent.SHARD_COMPLETED)
    assert body["data"] == {
        "shardId": "1",
        "status": "completed",
        "results": {"total": 38, "passed": 35, "failed": 2, "skipped": 1, "flaky": 0},
        "duration": 210_000,
        "artifacts": {"reportUrl": f"https://tms.example.com/reports/{body['executionId']}/shard-1"},
    }


def test_the_sample_of_a_completion_adds_up_as_documented() -> None:
    data = sample(WebhookEvent.EXECUTION_COMPLETED)["data"]
    assert list(data) == ["status", "results", "duration", "shardResults", "artifacts", "failedTests"]
    assert (data["status"], data["duration"]) == ("completed", 630_000)
    assert data["results"] == {"total": 150, "passed": 140, "failed": 8, "skipped": 2, "flaky": 1}
    for counter in RESULTS:
        assert data["results"][counter] == sum(shard["results"][counter] for shard in data["shardResults"])
    assert data["artifacts"].keys() == {"reportUrl", "logsUrl", "artifactsUrl"}
    assert data["failedTests"] == [
        {
            "title": "Login should work",
            "file": "tests/auth.spec.js",
            "error": "Expected element to be visible",
            "shard": "1",
        }
    ]


def test_the_other_samples_of_executions_tell_how_it_stands() -> None:
    progress = sample(WebhookEvent.EXECUTION_PROGRESS)["data"]
    assert (progress["status"], progress["progress"]["shardsCompleted"]) == ("running", 2)
    started = sample(WebhookEvent.SHARD_STARTED)["data"]
    assert started == {"shardId": "1", "status": "running", "startedAt": PRINTED}
    failed = sample(WebhookEvent.EXECUTION_FAILED)["data"]
    assert (failed["status"], failed["reasonCode"]) == ("failed", "shard_error")
    assert [shard["status"] for shard in failed["shardResults"]] == ["completed", "error", "cancelled", "cancelled"]
    cancelled = sample(WebhookEvent.EXECUTION_CANCELLED)["data"]
    assert (cancelled["status"], cancelled["cancelledAt"]) == ("cancelled", PRINTED)
    assert cancelled["reason"]


def test_the_sample_of_a_test_run_has_the_documented_data() -> None:
    data = sample(WebhookEvent.TEST_RUN_COMPLETED)["data"]
    assert list(data) == ["id", "projectId", "name", "status", "results"]
    assert data["status"] == "COMPLETED"
    assert data["results"] == {"passed": 45, "failed": 3, "blocked": 1, "skipped": 0}


def test_that_a_webhook_was_disabled_is_told_without_its_url() -> None:
    text = messages.disabled("wh_1", DisabledReason.FAILING, "Nothing but failures for 5 days", NOW)
    assert json.loads(text) == {
        "event": "webhook.disabled",
        "timestamp": PRINTED,
        "data": {
            "webhookId": "wh_1",
            "status": "disabled",
            "reason": "Nothing but failures for 5 days",
            "reasonCode": "failing",
        },
    }
    assert sample(WebhookEvent.WEBHOOK_DISABLED)["data"].keys() == json.loads(text)["data"].keys()


def test_a_test_says_whose_it_is_and_cannot_be_subscribed_to() -> None:
    assert json.loads(messages.test("wh_1", NOW)) == {
        "event": messages.TEST_EVENT,
        "timestamp": PRINTED,
        "data": {"webhookId": "wh_1"},
    }
    assert messages.TEST_EVENT not in set(WebhookEvent)


@pytest.mark.parametrize("event", list(WebhookEvent))
def test_a_sample_differs_by_its_time_alone(event: WebhookEvent) -> None:
    assert messages.sample(event, NOW) == messages.sample(event, NOW.astimezone(UTC))
    later = json.loads(messages.sample(event, NOW + timedelta(days=1)))
    assert later.keys() == sample(event).keys()
    assert later["data"].keys() == sample(event)["data"].keys()
