"""What the handlers work with; put together by `server`, found in the application under `SERVICES`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from actors.mailbox import Mailbox
from orchestrator.config import Settings
from storage.bus import Bus
from storage.postgres import Reader

OwnerStatus = Callable[[], Awaitable[Mapping[str, float]]]


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside the gateway that its handlers use.

    Attributes:
        settings: of this process.
        reader: sees one tenant at a time.
        mailbox: the only way to change an execution.
        bus: news of commits.
        secret_key: key of derived secrets (webhook tokens).
        owners: asks each partition's owner for its numbers; raises `Unavailable` where one is away.
    """

    settings: Settings
    reader: Reader
    mailbox: Mailbox
    bus: Bus
    secret_key: bytes
    owners: Sequence[OwnerStatus]


SERVICES = web.AppKey("services", Services)
