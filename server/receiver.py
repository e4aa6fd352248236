"""A receiver of webhooks, as a user would write one: it verifies every delivery with the published library."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError


class Received(msgspec.Struct, frozen=True):
    """One delivery as it came in.

    Attributes:
        delay_ms: from the event's own time to its arrival.
        is_verified: whether its signature is that of the secret.
    """

    message_id: str
    event: str
    data: dict[str, Any]
    delay_ms: float
    is_verified: bool


class Receiver:
    """Collects deliveries.

    Attributes:
        url: where it listens; on this machine alone.
        received: in the order in which they came.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self._secret = ""

    def trust(self, secret: str) -> None:
        """Verify with this secret, `whsec_…`."""
        self._secret = secret

    async def take(self, request: web.Request) -> web.Response:
        """The handler of its one route."""
        body = await request.read()
        told: dict[str, Any] = msgspec.json.decode(body)
        delay = datetime.now(UTC) - datetime.fromisoformat(told["timestamp"])
        is_verified = self._verifies(body, dict(request.headers))
        message_id = request.headers.get("webhook-id", "")
        self.received.append(
            Received(message_id, told["event"], told["data"], delay.total_seconds() * 1000, is_verified)
        )
        return web.Response(status=204 if is_verified else 401)

    def _verifies(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self._secret).verify(body, headers, json_parse=False)
        except WebhookVerificationError:
            return False
        return True


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine, until the block ends."""
    application = web.Application()
    runner = web.AppRunner(application, access_log=None)
    receiver = Receiver("")
    application.router.add_post("/webhooks/tms", receiver.take)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/tms"
        yield receiver
    finally:
        await runner.cleanup()
