"""The client: documented requests, retries, errors that say what to do."""

import re
from datetime import UTC, datetime

import pytest

from tests.sdk.conftest import QUICK, Server
from tests.sdk.fake_tms import FakeTMS, Fault
from tms_sdk import ApiError, Retry, TMSClient, TMSError, Unreachable
from tms_sdk.connection import api_url

CONFIG = {
    "testSuite": "api",
    "environment": "staging",
    "provider": "python-runner",
    "configuration": {"shards": 2, "timeout": 1_800_000},
    "metadata": {"branch": "main", "commit": "abc123"},
}


@pytest.mark.contract("X-102")
def test_the_documented_usage_runs_an_execution_from_start_to_end(server: Server) -> None:
    with TMSClient(server.token, f"{server.url}/api") as tms:
        execution = tms.create_execution(CONFIG)
        hook = execution["webhookUrl"], execution["webhookToken"]
        own = {"executionId": execution["executionId"]}
        tms.send_webhook(*hook, "execution.started", {**own, "status": "running", "provider": "python-runner"})
        for shard_id in ("1", "2"):
            results = {
                "summary": {"total": 2, "passed": 1, "failed": 1, "skipped": 0},
                "tests": [{"title": "a", "status": "passed"}, {"title": "b", "status": "failed", "error": "no"}],
                "failed": 1,
            }
            receipt = tms.submit_results(execution["executionId"], shard_id, results)
            assert (receipt["status"], receipt["shardId"]) == ("accepted", shard_id)
            data = {**own, "shardId": shard_id, "status": "completed", "results": results["summary"]}
            tms.send_webhook(*hook, "shard.completed", data)
        tms.send_webhook(*hook, "execution.completed", {**own, "status": "completed"})
        told = tms.get_execution(execution["executionId"])
        assert told["status"] == "completed"
        assert told["results"] == {"total": 4, "passed": 2, "failed": 2, "skipped": 0, "flaky": 0}
        assert [shard["shardId"] for shard in told["shardResults"]] == ["1", "2"]


def test_an_execution_is_listed_read_and_cancelled_once(client: TMSClient) -> None:
    execution_id = client.create_execution(CONFIG)["executionId"]
    assert execution_id in str(client.list_executions(status="created"))
    assert execution_id not in str(client.list_executions(status="running"))
    assert client.cancel_execution(execution_id)["status"] == "cancelled"
    with pytest.raises(ApiError) as refused:
        client.cancel_execution(execution_id)
    assert refused.value.status == 409
    assert "ended already" in str(refused.value)


def test_tests_and_events_can_be_read(client: TMSClient) -> None:
    execution_id = client.create_execution(CONFIG)["executionId"]
    tests = [{"title": "a", "status": "passed"}, {"title": "b", "status": "skipped"}]
    client.submit_results(execution_id, "1", {"tests": tests})
    assert [test["title"] for test in client.tests(execution_id, status="skipped")["tests"]] == ["b"]
    assert next(event["event"] for event in client.events(execution_id)["events"]) == "execution.created"


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ({}, "completed"),
        ({"failed": 2}, "failed"),
        ({"failed": 0}, "completed"),
        ({"summary": {"failed": 1}}, "failed"),
        ({"failed": 1, "status": "error"}, "error"),
    ],
)
def test_the_status_of_a_submission_follows_from_its_failures(
    fake: FakeTMS, client: TMSClient, results: dict[str, object], status: str
) -> None:
    fake.add_execution("exec_1")
    client.submit_results("exec_1", "1", results)
    assert fake.executions["exec_1"].shards["1"]["status"] == status


def test_a_post_is_sent_again_with_the_same_key_and_carried_out_once(fake: FakeTMS, client: TMSClient) -> None:
    fake.faults = [
        Fault("POST", "/api/executions", status=500),
        Fault("POST", "/api/executions", status=429),
        Fault("POST", "/api/executions", cut=True),
    ]
    client.create_execution(CONFIG)
    keys = [seen.headers["Idempotency-Key"] for seen in fake.requests("POST", "/api/executions")]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert len(fake.executions) == 1


def test_each_post_has_a_key_of_its_own_events_too(fake: FakeTMS, client: TMSClient) -> None:
    execution = client.create_execution(CONFIG)
    client.create_execution(CONFIG)
    for _ in range(2):
        data = {"executionId": execution["executionId"]}
        client.send_webhook(execution["webhookUrl"], execution["webhookToken"], "execution.progress", data)
    keys = [seen.headers["Idempotency-Key"] for seen in fake.seen if seen.method == "POST"]
    assert len(set(keys)) == len(keys) == 4


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.contract("X-100")
def test_it_gives_up_after_its_attempts_with_the_servers_own_words(
    fake: FakeTMS, client: TMSClient, status: int
) -> None:
    fake.faults = [Fault("GET", "/api/executions", times=100, status=status)]
    with pytest.raises(ApiError) as refused:
        client.list_executions()
    assert (refused.value.status, refused.value.code) == (status, "OUT_OF_ORDER")
    assert len(fake.seen) == QUICK.attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 501])
def test_a_permanent_refusal_is_not_asked_again(fake: FakeTMS, client: TMSClient, status: int) -> None:
    fake.faults = [Fault("POST", "/api/results", times=100, status=status)]
    with pytest.raises(ApiError) as refused:
        client.submit_results("exec_1", "1", {})
    assert refused.value.status == status
    assert len(fake.seen) == 1


def test_a_server_that_says_when_to_come_back_is_obeyed(fake: FakeTMS) -> None:
    slept: list[float] = []
    fake.faults = [
        Fault("GET", "/api/executions", status=429, headers={"Retry-After": "7"}),
        Fault("GET", "/api/executions", status=503),
    ]
    retry = Retry(attempts=5, first_delay=0.5, longest_delay=20.0, total=60.0)
    with TMSClient(fake.token, fake.url, retry=retry, sleep=slept.append) as client:
        client.list_executions()
    assert 7.0 <= slept[0] <= 7.5
    assert 0.0 <= slept[1] <= 1.0


def test_it_does_not_wait_past_its_total(fake: FakeTMS) -> None:
    slept: list[float] = []
    fake.faults = [Fault("GET", "/api/executions", times=100, status=429, headers={"Retry-After": "3600"})]
    with TMSClient(fake.token, fake.url, sleep=slept.append) as client, pytest.raises(ApiError, match="429"):
        client.list_executions()
    assert slept == []


def test_time_that_passes_ends_the_retries(fake: FakeTMS) -> None:
    now = [0.0]

    def take(seconds: float) -> None:
        now[0] += seconds

    fake.faults = [Fault("GET", "/api/executions", times=1000, before=lambda: take(10.0))]
    retry = Retry(attempts=1000, first_delay=0.5, total=35.0)
    client = TMSClient(fake.token, fake.url, retry=retry, sleep=take, clock=lambda: now[0])
    with client, pytest.raises(ApiError):
        client.list_executions()
    assert len(fake.seen) == 4


def test_no_server_at_all_is_unreachable_and_says_where(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with TMSClient("secret_token", url, retry=QUICK) as client, pytest.raises(Unreachable) as error:
        client.list_executions()
    assert error.value.attempts == QUICK.attempts
    assert url in str(error.value)
    assert "TMS_URL" in str(error.value)
    assert "secret_token" not in str(error.value)


def test_a_refusal_names_the_fields_and_the_request(client: TMSClient) -> None:
    with pytest.raises(ApiError) as refused:
        client.create_execution({**CONFIG, "testSuite": "nightly"})
    error = refused.value
    assert (error.status, error.code, error.request_id) == (422, "VALIDATION_ERROR", "req_abc123def456")
    assert [(detail.field, detail.message) for detail in error.details] == [
        ("testSuite", "Must be one of: smoke, regression, api, ui, all")
    ]
    assert "testSuite: Must be one of" in str(error)


def test_a_refused_token_says_how_to_get_another(server: Server) -> None:
    with TMSClient("wrong", server.url) as client, pytest.raises(ApiError, match="token create") as refused:
        client.list_executions()
    assert refused.value.status == 401


def test_what_is_no_tms_server_is_told_as_such(fake: FakeTMS, client: TMSClient) -> None:
    elsewhere = TMSClient(fake.token, f"{fake.url}/elsewhere", retry=QUICK)
    with elsewhere, pytest.raises(ApiError, match="404") as refused:
        elsewhere.list_executions()
    assert refused.value.code == "UNREADABLE_ANSWER"
    fake.faults = [Fault("POST", "/api/executions", status=200)]
    with pytest.raises(ApiError, match="TMS_URL"):
        client.create_execution(CONFIG)
    fake.faults = [Fault("GET", "/api/executions", status=301, headers={"Location": "https://tms.example.com/api"})]
    with pytest.raises(ApiError, match=re.escape("https://tms.example.com/api")):
        client.list_executions()


@pytest.mark.parametrize(
    "given",
    ["https://host", "https://host/", "https://host/api", "https://host/api/", " https://host/api// "],
)
def test_the_address_is_taken_with_and_without_api(given: str) -> None:
    assert api_url(given) == "https://host/api"


def test_an_address_may_have_a_folder() -> None:
    assert api_url("https://host:8443/tms") == "https://host:8443/tms/api"


@pytest.mark.parametrize("given", ["", "host", "host:8000", "ftp://host", "https://", "https://host:x", "http://["])
def test_what_is_no_address_is_refused_at_once(given: str) -> None:
    with pytest.raises(TMSError, match="TMS_URL"):
        TMSClient("token", given)


@pytest.mark.parametrize("given", ["", "  ", "a b", "a\nb", "tökên"])
def test_what_is_no_token_is_refused_at_once(given: str) -> None:
    with pytest.raises(TMSError, match="TMS_TOKEN"):
        TMSClient(given, "https://host")


def test_ids_cannot_leave_their_place_in_the_path(fake: FakeTMS, client: TMSClient) -> None:
    with pytest.raises(ApiError):
        client.get_execution("../results?x=1#y")
    assert fake.seen[-1].path.startswith("/api/executions/..")
    for bad in ("", ".", ".."):
        with pytest.raises(TMSError, match="id"):
            client.get_execution(bad)


def test_times_are_printed_as_documented(fake: FakeTMS, client: TMSClient) -> None:
    execution = client.create_execution(CONFIG)
    before = datetime.now(UTC)
    data = {"executionId": execution["executionId"]}
    client.send_webhook(execution["webhookUrl"], execution["webhookToken"], "execution.started", data)
    told = fake.executions[execution["executionId"]].inbound[0]["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told)
    assert abs((datetime.fromisoformat(told) - before).total_seconds()) < 60


def test_it_shows_no_secret(server: Server) -> None:
    with server.client() as client:
        assert server.token not in repr(client)
