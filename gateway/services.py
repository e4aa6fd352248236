"""What the handlers work with; put together by `server`, found in the application under `SERVICES`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from aiohttp import web
from prometheus_client import Metric
from prometheus_client.registry import Collector

from actors.couriers import Couriers
from actors.mailbox import Mailbox
from orchestrator.config import Settings
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import Reader


class Actor(Protocol):
    """How an owner or a courier is asked about itself; `Unavailable` where it is away."""

    async def status(self) -> Mapping[str, float]:
        """What it is doing."""

    async def metrics(self) -> Sequence[Metric]:
        """What it measured."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside the gateway that its handlers use.

    Attributes:
        settings: of this process.
        reader: sees one tenant at a time.
        mailbox: the only way to change an execution.
        couriers: deliver webhooks.
        bus: news of commits.
        blobs: bytes of artifacts.
        counters: of requests, shared by all gateways.
        secret_key: key of derived secrets (webhook tokens), and of those kept sealed.
        actors: kind (`owner`, `courier`) to each of them, in order.
        collectors: what else measures something in this process.
    """

    settings: Settings
    reader: Reader
    mailbox: Mailbox
    couriers: Couriers
    bus: Bus
    blobs: Blobs
    counters: Counters
    secret_key: bytes
    actors: Mapping[str, Sequence[Actor]]
    collectors: Sequence[Collector] = ()


SERVICES = web.AppKey("services", Services)
