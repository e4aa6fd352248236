"""How soon a runner gets tests while hundreds ask, and whether that grows with the plan."""

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
import uvloop

from benchmarks.client import Address
from benchmarks.companions import alone
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.runner_scale import Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps

GIVE_UP_SECONDS = 600.0


def measure(server: Server, scale: Scale, steps: Steps) -> list[Figure]:
    """Runners claim one batch after another, each as often as a runner whose batches take some seconds."""
    took: dict[int, list[float]] = {scale.few_tests: [], scale.many_tests: []}
    for number in range(1, scale.rounds + 1):
        for tests in took:
            with steps.step(f"{scale.runners} runners claim out of {tests:,} tests, round {number}"):
                took[tests] += alone(GIVE_UP_SECONDS, claim, server.address, scale, tests)
    few, many = took[scale.few_tests], took[scale.many_tests]
    large = f"{scale.many_tests:,} planned tests"
    return [
        figure(f"p99, claim, {scale.runners} runners, {large}", percentile(many, 0.99), "ms", at_most=20),
        figure(
            f"p50, claim, {scale.runners} runners, {large}, by {scale.few_tests}",
            median(many),
            "ms",
            floor=median(few),
            at_most=1.5,
        ),
        figure(
            f"p99, claim, {scale.runners} runners, {scale.few_tests} planned tests",
            percentile(few, 0.99),
            "ms",
            at_most=20,
        ),
    ]


def claim(address: Address, scale: Scale, tests: int) -> list[float]:
    """The duration of each claim in milliseconds."""
    return uvloop.run(_claim(address, scale, tests))


async def _claim(address: Address, scale: Scale, tests: int) -> list[float]:
    headers = {"Authorization": f"Bearer {address.token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        f"http://{address.host}:{address.port}", headers=headers, connector=connector, json_serialize=_json
    ) as session:
        execution_id = await _planned(session, scale.runners, tests)
        took: list[float] = []
        runners = [
            _runner(
                session, execution_id, f"runner {number}", number * scale.pause_seconds / scale.runners, scale, took
            )
            for number in range(scale.runners)
        ]
        await asyncio.gather(*runners)
        async with session.delete(f"/api/executions/{execution_id}") as answer:
            await answer.read()
    return took


async def _planned(session: aiohttp.ClientSession, runners: int, tests: int) -> str:
    creation = {"testSuite": "all", "environment": "dev", "provider": "benchmark", "configuration": {"shards": runners}}
    execution_id = str((await _send(session, "POST", "/api/executions", creation))["executionId"])
    manifest = [{"file": f"tests/test_{number // 20}.py", "title": f"test_{number}"} for number in range(tests)]
    await _send(session, "PUT", f"/api/executions/{execution_id}/plan", {"mode": "queue", "tests": manifest})
    # The first claim of a process reads the manifest; after that it is at hand.
    await _send(session, "POST", f"/api/executions/{execution_id}/claims", {"runnerId": "runner 0"})
    return execution_id


async def _runner(
    session: aiohttp.ClientSession, execution_id: str, name: str, delay: float, scale: Scale, took: list[float]
) -> None:
    """Claim, and claim again what follows; what is not reported counts as missing, which costs the server as much."""
    await asyncio.sleep(delay)
    done: str | None = None
    for _ in range(scale.claims):
        began = time.perf_counter()
        body = {"runnerId": name, "done": done}
        claimed = await _send(session, "POST", f"/api/executions/{execution_id}/claims", body)
        done = None
        if claimed["state"] == "leased":  # to tell a runner to wait is cheaper, and of 100 tests most have to
            took.append(1000 * (time.perf_counter() - began))
            done = claimed["leaseId"]
        await asyncio.sleep(scale.pause_seconds)


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
    async with session.request(method, path, json=body) as answer:
        content = await answer.read()
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return msgspec.json.decode(content)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
