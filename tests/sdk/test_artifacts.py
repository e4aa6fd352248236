"""Files sent by the client and by `tms artifacts upload`, to the true server."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import RunningServer
from tests.sdk.conftest import QUICK, Server, Tms
from tms_sdk import ApiError, ReportError, TMSClient, Unreachable
from tms_sdk.artifacts import AT_ONCE_BYTES, name_of

PART = 8 * 1024 * 1024


@pytest.fixture
def server(running_server: RunningServer) -> Server:
    return Server(running_server.url, running_server.token)


@pytest.fixture
def execution_id(client: TMSClient) -> str:
    """An execution of two shards."""
    config = {"testSuite": "ui", "environment": "dev", "provider": "ci", "configuration": {"shards": 2}}
    return client.create_execution(config)["executionId"]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of three parts."""
    path = tmp_path / "trace.zip"
    path.write_bytes(os.urandom(2 * PART + 1))
    return path


@pytest.fixture
def requests(client: TMSClient, execution_id: str) -> list[httpx.Request]:
    """What the client sends after the execution was made."""
    assert execution_id
    seen: list[httpx.Request] = []
    client._connection._http.event_hooks = {"request": [seen.append]}
    return seen


def content_of(stored: Any) -> bytes:
    return httpx.get(stored["url"]).content


def test_a_small_file_goes_at_once_with_what_it_is_of(
    client: TMSClient, requests: list[httpx.Request], execution_id: str, tmp_path: Path
) -> None:
    path = tmp_path / "größe.log"
    path.write_bytes(b"lines")
    stored = client.upload_artifact(execution_id, "2", path, test="logs in", file="a.js", attempt=2)
    assert (stored["status"], stored["name"], stored["kind"]) == ("stored", "größe.log", "logs")
    assert (stored["shardId"], stored["test"], stored["file"], stored["attempt"]) == ("2", "logs in", "a.js", 2)
    assert content_of(stored) == b"lines"
    assert len(requests) == 1
    again = client.upload_artifact(execution_id, "2", path, test="logs in", file="a.js", attempt=2)
    assert again["artifactId"] == stored["artifactId"]


def test_a_large_file_goes_in_parts_and_only_once(
    client: TMSClient, requests: list[httpx.Request], execution_id: str, large: Path
) -> None:
    stored = client.upload_artifact(execution_id, "1", large, name="login/trace.zip")
    assert (stored["status"], stored["name"]) == ("stored", "login/trace.zip")
    assert stored["sha256"] == hashlib.sha256(large.read_bytes()).hexdigest()
    assert content_of(stored) == large.read_bytes()
    assert [request.method for request in requests] == ["POST", "PUT", "PUT", "PUT", "POST"]
    requests.clear()
    assert client.upload_artifact(execution_id, "2", large)["status"] == "stored"
    assert len(requests) == 1


class Cut:
    """Lets a request through and loses its answer, or loses the request, from the second part on."""

    def __init__(self, client: TMSClient, times: int) -> None:
        self._send = client._connection._http._transport.handle_request
        self.left = times

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/parts/2") and self.left:
            self.left -= 1
            if self.left % 2:
                self._send(request).read()
            raise httpx.ReadError("the network is gone")
        return self._send(request)


@pytest.fixture
def cut(client: TMSClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cut]:
    cut = Cut(client, QUICK.attempts - 1)
    monkeypatch.setattr(client._connection._http._transport, "handle_request", cut)
    yield cut
    assert not cut.left


def test_a_part_that_is_cut_off_is_sent_again(client: TMSClient, cut: Cut, execution_id: str, large: Path) -> None:
    assert content_of(client.upload_artifact(execution_id, "1", large)) == large.read_bytes()
    assert not cut.left


def test_a_process_that_failed_is_gone_on_for_by_another(
    client: TMSClient, cut: Cut, server: Server, execution_id: str, large: Path
) -> None:
    cut.left = QUICK.attempts
    with pytest.raises(Unreachable):
        client.upload_artifact(execution_id, "1", large)
    with server.client() as other:
        sent: list[httpx.Request] = []
        other._connection._http.event_hooks = {"request": [sent.append]}
        stored = other.upload_artifact(execution_id, "1", large)
    assert content_of(stored) == large.read_bytes()
    assert [request.url.path.rpartition("/")[2] for request in sent] == ["artifact-uploads", "3", "complete"]


def test_what_cannot_be_read_or_is_refused_is_said(client: TMSClient, execution_id: str, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="No such file"):
        client.upload_artifact(execution_id, "1", tmp_path / "missing.log")
    page = tmp_path / "page.png"
    page.write_text("<html>")
    with pytest.raises(ApiError, match="Must be image/png"):
        client.upload_artifact(execution_id, "1", page)
    page.write_bytes(b"x" * (AT_ONCE_BYTES + 1))
    with pytest.raises(ApiError, match="Must be image/png"):
        client.upload_artifact(execution_id, "1", page)


@pytest.mark.parametrize(
    ("path", "name"),
    [("shots/a.png", "shots/a.png"), ("/tmp/a.png", "a.png"), ("../a.png", "a.png"), ("./a.png", "a.png")],
)
def test_a_file_is_called_as_its_path_where_that_leads_down(path: str, name: str) -> None:
    assert name_of(Path(path)) == name


def test_the_command_sends_files_and_says_what_became_of_them(tms: Tms, execution_id: str, large: Path) -> None:
    (large.parent / "shots").mkdir()
    (large.parent / "shots" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = tms(
        *("artifacts", "upload", execution_id, "--shard", "2", "--test", "logs in", "--attempt", "1"),
        *("shots/a.png", "trace.zip"),
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("shots/a.png: stored, 8 bytes (screenshots) art_")
    assert last.startswith(f"trace.zip: stored, {2 * PART + 1} bytes (traces) art_")


def test_the_command_tells_what_is_wrong_by_its_exit_code(tms: Tms, execution_id: str, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x")
    missing = tms("artifacts", "upload", execution_id, "a.log", "missing.log")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert "missing.log: No such file" in missing.stderr
    assert tms("artifacts", "upload", execution_id, "--shard", "9", "a.log").returncode == 3
    assert tms("artifacts", "upload", execution_id, "--kind", "x", "a.log").returncode == 4
    assert tms("artifacts").returncode == 4
