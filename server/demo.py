"""`orchestrator demo`: a real suite in four shards on a server of its own, watched live, and what came of it.

A receiver of webhooks listens beside it, and shows what it was told.
"""

import asyncio
import ipaddress
import logging
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.config import Settings
from orchestrator.errors import InternalError, Misconfigured
from orchestrator.identity.roles import Role
from server import logs, parts
from server.offline import create_token
from server.receiver import Receiver, receiving
from server.serve import listening_socket, open_port, url_on_this_machine
from tms_sdk.watch import show

SHARDS = 4
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
PROJECT = Path(__file__).parent.parent
SUITE = Path("tests") / "orchestrator"
WEBHOOK_EVENTS = ("execution.started", "shard.started", "shard.completed", "execution.completed", "execution.failed")
DELIVERY_SECONDS = 20
LOOK_SECONDS = 0.1
RUN = [
    *("tms", "run", "--shards", str(SHARDS), "--suite", "smoke", "--environment", "dev", "--"),
    *("pytest", str(SUITE)),
]

out = Console()


async def demo(settings: Settings) -> int:
    """Start everything, run the project's own unit tests, show the result.

    Returns:
        The exit code of the tests.

    Raises:
        Misconfigured: the tests or pytest are not here, or the server cannot start.
    """
    if not (PROJECT / SUITE).is_dir() or find_spec("pytest") is None:
        raise Misconfigured("The demo runs the project's own tests: start it with `make demo` in a checkout")
    logs.configure(logging.WARNING)
    # The receiver is on this machine, where webhooks may not go unless they are allowed to.
    settings = msgspec.structs.replace(settings, webhook_allow=(*settings.webhook_allow, LOOPBACK))
    async with _server(settings) as url, receiving() as receiver:
        token = await create_token(settings, "default", "demo", Role.QA_LEAD)
        out.print(f"Serving at {url}\nRunning: {' '.join(RUN)}\n", highlight=False, soft_wrap=True)
        async with _session(url, token) as session, _subscribed(session, receiver):
            code, execution_id = await _run_tests(url, token)
            await _show_result(session, execution_id)
            await _show_deliveries(session, execution_id, receiver)
            _show_links(url, token, execution_id)
    out.print("\nEverything is stored. Start the server with [bold]make serve[/bold] to look at it again.")
    return code


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[str]:
    """A server on the port of the settings, so that the URLs shown are those of `make serve`; its URL."""
    with listening_socket(settings) as port:
        starting = out.status("Starting Postgres, Valkey, Ray and the gateway ...")
        starting.start()
        try:
            here = url_on_this_machine(port)
            async with parts.services(settings, here) as services, open_port(services, port) as url:
                starting.stop()
                yield url
                out.print("Stopping the server ...", style="dim")
        finally:
            starting.stop()


def _session(url: str, token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"}, raise_for_status=True)


@asynccontextmanager
async def _subscribed(session: aiohttp.ClientSession, receiver: Receiver) -> AsyncIterator[None]:
    """A webhook to the receiver, as long as the block runs."""
    wanted = {"url": receiver.url, "events": WEBHOOK_EVENTS}
    answer = await session.post("/api/webhooks", json=wanted)
    webhook: dict[str, Any] = msgspec.json.decode(await answer.read())
    receiver.trust(webhook["secret"])
    try:
        yield
    finally:
        await session.delete(f"/api/webhooks/{webhook['webhookId']}")


async def _run_tests(url: str, token: str) -> tuple[int, str]:
    """Run the suite as a CI job would, and show what the server tells of it live; exit code and execution."""
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {
        "TMS_URL": url,
        "TMS_TOKEN": token,
        "PATH": os.pathsep.join((programs, os.environ.get("PATH", os.defpath))),
        "PYTHONUNBUFFERED": "1",
    }
    program, *arguments = RUN
    runner = await asyncio.create_subprocess_exec(
        f"{programs}/{program}", *arguments, cwd=PROJECT, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    said: list[str] = []
    try:
        execution_id = await _execution_id(runner, said)
        rest = asyncio.create_task(_listen(runner, said))
        await show(url, token, execution_id, out)
        await rest
        code = await runner.wait()
    finally:
        if runner.returncode is None:
            runner.terminate()
            await runner.wait()
    if code != 0:
        out.print(Text("".join(said)))
    return code, execution_id


async def _execution_id(runner: Process, said: list[str]) -> str:
    """The execution, which the runner names as soon as it has made it."""
    async for line in _lines(runner):
        said.append(line)
        if found := re.search(r"exec_\d+", line):
            return found.group()
    raise InternalError(f"The runner made no execution:\n{''.join(said)}")


async def _listen(runner: Process, said: list[str]) -> None:
    said.extend([line async for line in _lines(runner)])


async def _lines(runner: Process) -> AsyncIterator[str]:
    while runner.stdout is not None and (line := await runner.stdout.readline()):
        yield line.decode(errors="replace")


async def _show_result(session: aiohttp.ClientSession, execution_id: str) -> None:
    """The slowest tests."""
    answer = await session.get(f"/reports/{execution_id}")
    report: dict[str, Any] = msgspec.json.decode(await answer.read())
    slowest = Table("slowest tests", "shard", "ms", box=None, header_style="bold")
    for test in report["slowestTests"][:5]:
        slowest.add_row(f"{test['file']} {test['title']}", test["shardId"], f"{test['duration']:.0f}")
    out.print(slowest)


async def _show_deliveries(session: aiohttp.ClientSession, execution_id: str, receiver: Receiver) -> None:
    """What the receiver of webhooks was told, once the server has nothing more to tell it."""
    waiting = await _undelivered(session, execution_id)
    with suppress(TimeoutError):
        async with asyncio.timeout(DELIVERY_SECONDS):
            while waiting:
                await asyncio.sleep(LOOK_SECONDS)
                waiting = await _undelivered(session, execution_id)
    told = Table("webhooks received", "shard", "ms after", "signature", box=None, header_style="bold")
    for one in receiver.received:
        signature = "verified" if one.is_verified else "[red]wrong[/red]"
        told.add_row(one.event, one.data.get("shardId", ""), f"{one.delay_ms:.0f}", signature)
    out.print()
    out.print(told)
    if waiting:
        out.print(f"{waiting} more did not come within {DELIVERY_SECONDS} s.", style="red")


async def _undelivered(session: aiohttp.ClientSession, execution_id: str) -> int:
    """How many events of an execution are still to be told."""
    answer = await session.get(f"/api/executions/{execution_id}/deliveries")
    log: dict[str, Any] = msgspec.json.decode(await answer.read())
    return sum(delivery["status"] == "pending" for delivery in log["deliveries"])


def _show_links(url: str, token: str, execution_id: str) -> None:
    """Where to look."""
    pages = {
        "dashboard": f"{url}/executions/{execution_id}",
        "result": f"{url}/api/executions/{execution_id}",
        "tests": f"{url}/api/executions/{execution_id}/tests",
        "report": f"{url}/reports/{execution_id}",
        "API": f"{url}/api/docs",
    }
    out.print("\nWhere to look (all but the last with the token, which the dashboard asks for):", style="bold")
    for name, page in pages.items():
        out.print(f"  {name:10}{page}", highlight=False, soft_wrap=True)
    out.print(f'\n  curl -H "Authorization: Bearer {token}" {pages["result"]}', highlight=False, soft_wrap=True)
