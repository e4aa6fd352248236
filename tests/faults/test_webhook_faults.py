"""While thousands of events flow to endpoints that fail at random, something is killed. Afterwards every event of every
acknowledged change has arrived at every endpoint that wants it, under one id, and is recorded as delivered once."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from signal import SIGINT, SIGKILL
from time import monotonic
from typing import Any, TypeVar

import aiohttp
import psutil
import pytest

from actors.mailbox import partition_of
from actors.webhook_courier import CourierSettings, WebhookCourier
from orchestrator.timestamps import to_text
from orchestrator.webhooks.addresses import Policy
from storage import postgres
from tests import orders
from tests.faults.audit import Audit, Findings, Listener, listed
from tests.faults.endpoints import SECRET, Endpoints, Entry
from tests.faults.traffic import Traffic
from tests.gateway.conftest import Answer, Api
from tests.patience import eventually
from tests.portal import Portal
from tests.receiver import Receiver
from tests.running import RunningServer

T = TypeVar("T")

COURIERS = 2
SUBMISSIONS = 400
"""Sent in each test at the least. Every 7 make 13 events, so that all tests together see more than 5,000."""

DELIVERY_SECONDS = 120.0
"""What is left when the traffic ends may take so long on a busy machine."""

EVERYTHING = ("execution.started", "shard.started", "shard.completed", "execution.completed")
ENDS = ("shard.completed", "execution.completed")
# Soon, and so often that nothing is given up.
SCHEDULE = [0.1, 0.2, 0.5, *[1.0] * 60]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server to be maltreated; its webhooks may go to this machine, as fast as they can."""
    folder = tmp_path_factory.mktemp("faults") / "data"
    settings = {"webhook_allow": "127.0.0.0/8", "webhook_rate": "0", "request_wait_seconds": "20"}
    with RunningServer(folder, partitions=str(COURIERS), **settings) as server:
        yield server


@asynccontextmanager
async def speaking(server: RunningServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, server.url, server.token)


class Town:
    """All webhooks of a server, and their endpoints on a thread that outlives everything that is killed.

    Attributes:
        since: when it was founded.
        listeners: the webhooks that are there from then on, some for each courier.
    """

    def __init__(self, server: RunningServer, portal: Portal, endpoints: Endpoints) -> None:
        self._server = server
        self._portal = portal
        self.endpoints = endpoints
        self.since = orders.now()
        self.listeners: list[Listener] = []

    async def settle(self) -> None:
        for courier in range(COURIERS):
            self.listeners.append(await self.register(f"/everything/{courier}", EVERYTHING, courier))
            self.listeners.append(await self.register(f"/ends/{courier}", ENDS, courier))

    async def register(self, path: str, events: Sequence[str] = EVERYTHING, courier: int = 0) -> Listener:
        """A webhook that belongs to this courier; which one it is follows from its id, so it may take some tries."""
        policy = {"schedule": SCHEDULE}
        body = {"url": self.endpoints.opened(path), "events": events, "secret": SECRET, "retryPolicy": policy}
        async with speaking(self._server) as api:
            while True:
                answer = await api.post("/api/webhooks", body)
                assert answer.status == 201, answer.raw
                listener = Listener(answer.json["webhookId"], courier, frozenset(events), [path])
                if partition_of(listener.webhook_id, COURIERS) == courier:
                    return listener
                assert (await api.delete(listener.place)).status == 200

    async def with_endpoints(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the endpoints where they are."""
        return await asyncio.to_thread(self._portal.call, work)

    async def findings(self, executions: Collection[str], listeners: Sequence[Listener], since: datetime) -> Findings:
        """Compare what arrived with what happened and with what was recorded, once nothing is pending."""
        async with speaking(self._server) as api:
            await eventually(partial(_is_all_delivered, api, listeners), DELIVERY_SECONDS)
            async with postgres.connected(self._server.database_url) as connection:
                audit = Audit(api, connection, executions, to_text(since))
                return await audit.findings(listeners, self.endpoints.entries)


async def _is_all_delivered(api: Api, listeners: Sequence[Listener]) -> bool:
    for listener in listeners:
        pending = await api.get(f"{listener.place}/deliveries", params={"status": "pending", "limit": "1"})
        if pending.json["deliveries"]:
            return False
    return True


@pytest.fixture(scope="module")
def town(running: RunningServer) -> Iterator[Town]:
    with Portal() as portal, portal.entered(Receiver()) as receiver:
        founded = Town(running, portal, Endpoints(receiver))
        portal.call(founded.settle())
        yield founded


class Ordeal:
    """Traffic while something is broken, and what becomes of its events."""

    def __init__(self, server: RunningServer, town: Town, report: Callable[[str], None]) -> None:
        self._town = town
        self._report = report
        self._since = orders.now()
        self.traffic = Traffic(server.url, server.token, lambda _: None)
        self.listeners = list(town.listeners)

    async def undergo(self, disturb: Callable[[], Awaitable[None]]) -> Findings:
        async def while_much_happens() -> None:
            enough = asyncio.create_task(self.traffic.progress(SUBMISSIONS))
            await disturb()
            await enough

        await self.traffic.run(while_much_happens)
        executions = [promised.execution_id for promised in self.traffic.promised]
        found = await self._town.findings(executions, self.listeners, self._since)
        self._report(str(found))
        return found


@pytest.fixture
async def ordeal(running: RunningServer, town: Town, report: Callable[[str], None]) -> Ordeal:
    return Ordeal(running, town, report)


async def all_of(actors: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """The processes of all owners, or of all couriers, once each answers."""
    found: list[psutil.Process] = []

    async def do_all_answer() -> bool:
        found[:] = await asyncio.to_thread(actors)
        return len(found) == COURIERS

    await eventually(do_all_answer)
    return found


@pytest.mark.contract("X-075")
async def test_each_courier_is_killed_in_turn(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for number in range(COURIERS):
            (await all_of(running.couriers))[number].kill()
            await ordeal.traffic.progress(50)

    await ordeal.undergo(disturb)


async def test_each_owner_is_killed_in_turn(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for owner in await all_of(running.owners):
            owner.kill()
            await ordeal.traffic.progress(50)

    exactly_once(await ordeal.undergo(disturb))


async def test_the_gateway_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        running.kill()
        await asyncio.to_thread(running.start)

    await ordeal.undergo(disturb)


async def test_everything_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        running.kill_all()
        await asyncio.to_thread(running.start)

    await ordeal.undergo(disturb)


async def test_valkey_is_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for _ in range(2):
            (await running.valkey()).kill()
            await ordeal.traffic.progress(50)

    exactly_once(await ordeal.undergo(disturb))


async def test_postgres_is_restarted_and_killed(running: RunningServer, ordeal: Ordeal) -> None:
    async def disturb() -> None:
        for how in (SIGINT, SIGKILL):
            postmaster = running.postmaster()
            postmaster.send_signal(how)
            await asyncio.to_thread(postmaster.wait, 30)
            await ordeal.traffic.progress(50)

    exactly_once(await ordeal.undergo(disturb))


def exactly_once(found: Findings) -> None:
    """Couriers that were not killed know what they sent, whatever happens to others."""
    assert (found.repetitions, found.unrecorded) == (0, 0)


@dataclass
class Silence:
    """Nothing may arrive at a path from one moment to another, in monotonic seconds."""

    path: str
    begin: float = math.inf
    end: float = math.inf

    def broken_by(self, entries: Sequence[Entry]) -> int:
        return sum(entry.arrival.path == self.path and self.begin < entry.arrival.at < self.end for entry in entries)


@pytest.mark.contract("X-042")
async def test_the_gateway_is_killed_when_changes_of_webhooks_were_just_answered(
    running: RunningServer, town: Town, ordeal: Ordeal, report: Callable[[str], None]
) -> None:
    deleted, moved, paused = [await town.register(f"/{name}") for name in ("deleted", "moved", "paused")]
    silences = of_deleted, of_moved, of_paused = [Silence(one.paths[0]) for one in (deleted, moved, paused)]
    moved.paths.append("/moved-to")
    to = town.endpoints.opened("/moved-to")
    ordeal.listeners += [moved, paused]

    async def have_all_got_something() -> bool:
        return {silence.path for silence in silences} <= {entry.arrival.path for entry in town.endpoints.entries}

    async def begins(silence: Silence, answering: Awaitable[Answer]) -> None:
        answer = await answering
        silence.begin = monotonic()
        assert answer.status == 200, answer.raw

    async def disturb() -> None:
        await eventually(have_all_got_something)
        async with speaking(running) as api:
            await asyncio.gather(
                begins(of_deleted, api.delete(deleted.place)),
                begins(of_moved, api.patch(moved.place, {"url": to})),
                begins(of_paused, api.patch(paused.place, {"status": "inactive"})),
            )
        running.kill()
        await asyncio.to_thread(running.start)
        await ordeal.traffic.progress(50)
        async with speaking(running) as api:
            of_paused.end = monotonic()
            assert (await api.patch(paused.place, {"status": "active"})).status == 200
            await ordeal.traffic.progress(50)
            recovered = await api.post(f"{paused.place}/recover", {"since": to_text(town.since)})
            assert recovered.json["queued"] > 0

    await ordeal.undergo(disturb)
    broken = [silence.broken_by(town.endpoints.entries) for silence in silences]
    report(f"requests after the answer to a deletion, a move, a pause: {broken}")
    assert broken == [0, 0, 0]
    async with speaking(running) as api:
        for listener in (moved, paused):
            assert (await api.delete(listener.place)).status == 200


async def test_two_couriers_of_each_number_at_once(
    running: RunningServer, town: Town, ordeal: Ordeal, report: Callable[[str], None]
) -> None:
    """A rival outside the server takes a courier's place while requests of it are under way, and then loses it."""
    settings = CourierSettings(
        secret_key=(running.data_dir / "secret-key").read_bytes(),
        policy=Policy((ip_network("127.0.0.0/8"),), frozenset()),
        rate=0,
        timeout_seconds=15.0,
        disable_after_seconds=3600.0,
    )
    of_replaced: list[Entry] = []

    async def disturb() -> None:
        for courier in range(COURIERS):
            own = [listener for listener in town.listeners if listener.courier == courier]
            # Of an endpoint that has just failed there is one request at a time: two is what two surely get.
            held = await town.with_endpoints(town.endpoints.hold([listener.paths[0] for listener in own], 2))
            of_replaced.extend(held)
            rival = WebhookCourier(courier, running.database_url, running.redis_url, settings)
            living = asyncio.create_task(rival.live())
            try:
                await eventually(partial(_came_again, held, town.endpoints.entries))
                await town.with_endpoints(town.endpoints.release())
                await ordeal.traffic.progress(30)
                await eventually(partial(_has_resigned, rival, running, own[0]))
            finally:
                living.cancel()
                await rival.close()

    found = await ordeal.undergo(disturb)
    recorded = found.recorded & {entry.number for entry in of_replaced}
    report(f"{len(of_replaced)} requests of replaced couriers were answered late, {len(recorded)} of them recorded")
    assert recorded == set()


async def _came_again(held: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    """Whether another courier, for none else would, has sent what is held."""
    later = {(entry.arrival.path, entry.arrival.message_id) for entry in entries[held[-1].number + 1 :]}
    return all((entry.arrival.path, entry.arrival.message_id) in later for entry in held)


async def _has_resigned(rival: WebhookCourier, server: RunningServer, listener: Listener) -> bool:
    """Whether the server's courier, when asked for, has taken its place again."""
    async with speaking(server) as api:
        assert (await api.patch(listener.place, {"status": "active"})).status == 200
    return (await rival.status())["epoch"] == 0


async def test_at_the_end_all_that_happened_has_arrived(
    running: RunningServer, town: Town, report: Callable[[str], None]
) -> None:
    async with speaking(running) as api:
        executions = [execution["executionId"] for execution in await listed(api, "/api/executions", "executions")]
    report(str(await town.findings(executions, town.listeners, town.since)))
