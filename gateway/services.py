"""What the handlers work with; put together by `server`, found in the application under `SERVICES`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from actors.couriers import Couriers
from actors.mailbox import Mailbox
from orchestrator.config import Settings
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import Reader

ActorStatus = Callable[[], Awaitable[Mapping[str, float]]]
"""Asks an actor for its numbers; raises `Unavailable` where it is away."""


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
        actors: kind (`owner`, `courier`) to how each of them is asked for its numbers, in order.
    """

    settings: Settings
    reader: Reader
    mailbox: Mailbox
    couriers: Couriers
    bus: Bus
    blobs: Blobs
    counters: Counters
    secret_key: bytes
    actors: Mapping[str, Sequence[ActorStatus]]


SERVICES = web.AppKey("services", Services)
