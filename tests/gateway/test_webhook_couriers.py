"""What webhooks' handlers tell couriers, and what they answer when a courier is away."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from obstore.store import MemoryStore
from ray.exceptions import ActorUnavailableError

from actors.couriers import Couriers
from actors.mailbox import Mailbox
from gateway.calls import Call
from gateway.handlers import webhooks as handlers
from gateway.middleware.authentication import Authentication
from gateway.services import Services
from gateway.wire.webhooks import ChangeWebhook, CreateWebhook, RotateSecret
from orchestrator.config import Settings
from orchestrator.errors import NotFound
from orchestrator.identity.model import Principal
from orchestrator.identity.roles import Role
from orchestrator.webhooks.model import Outcome, WebhookEvent
from orchestrator.webhooks.sealing import Sealer
from server.stores import Stores
from storage import deliveries, webhooks
from storage.blobs import Blobs
from storage.bus import Bus
from storage.counters import Counters
from storage.postgres import DirectConnection, Reader
from tests.registrations import registered

KEY = b"a key that is long enough for the tests"


class Told:
    """A courier by what it was told; one that is away hears nothing of changes."""

    def __init__(self) -> None:
        self.due_ids: list[str] = []

    async def validate(self, webhook_id: str) -> Outcome | None:
        raise _away(webhook_id)

    async def changed(self, webhook_id: str) -> None:
        raise _away(webhook_id)

    async def due(self, webhook_ids: Sequence[str]) -> None:
        self.due_ids += webhook_ids


def _away(webhook_id: str) -> ActorUnavailableError:
    return ActorUnavailableError(f"The courier of {webhook_id} is restarting", None)


@pytest.fixture
def courier() -> Told:
    return Told()


@pytest.fixture
async def services(stores: Stores, courier: Told) -> AsyncIterator[Services]:
    """All that the handlers use; the one courier is away."""
    reader = await Reader.open(stores.database_url, size=2)
    bus, counters = Bus(stores.redis_url), Counters(stores.redis_url)
    yield Services(
        settings=Settings(),
        reader=reader,
        mailbox=Mailbox([], 0),
        couriers=Couriers([courier], 0),
        bus=bus,
        blobs=Blobs(MemoryStore(), None),
        counters=counters,
        secret_key=KEY,
        actors={},
    )
    await counters.close()
    await bus.close()
    await reader.close()


def call(services: Services, tenant: int, body: Any, webhook_id: str = "") -> Call[Any, None]:
    request = make_mocked_request("POST", "/api/webhooks", match_info={"webhookId": webhook_id})
    principal = Principal(tenant, "tok_1", Role.ADMIN)
    authentication = Authentication(services.reader, services.secret_key)
    return Call(services, authentication, request, principal=principal, body=body, raw=b"", query=None)


async def test_a_courier_is_told_of_a_new_webhook(services: Services, courier: Told, tenant: int) -> None:
    wanted = CreateWebhook(url="https://ci.example.com/hook", events=[WebhookEvent.EXECUTION_STARTED])

    made = await handlers.create(call(services, tenant, wanted))

    assert courier.due_ids == [made.webhook_id]


async def test_what_was_committed_is_answered_though_its_courier_is_away(
    services: Services, connection: DirectConnection, tenant: int
) -> None:
    webhook_id = (await registered(connection, tenant)).webhook_id

    rotated = await handlers.rotate_secret(call(services, tenant, RotateSecret(), webhook_id))
    kept = await deliveries.endpoint(connection, webhook_id)
    assert kept is not None
    assert Sealer(KEY).open(kept.secret, webhook_id) == rotated.secret

    changed = await handlers.change(call(services, tenant, ChangeWebhook(active=False), webhook_id))
    assert changed.status == "inactive"

    assert (await handlers.delete(call(services, tenant, None, webhook_id))).status == "deleted"
    with pytest.raises(NotFound):
        await webhooks.get(connection, webhook_id)
