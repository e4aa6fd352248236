"""Registered webhooks as tests use them: what their receiver got, and what the server's log says of it."""

from typing import Any
from uuid import uuid4

from tests.gateway.conftest import Api
from tests.patience import eventually
from tests.receiver import Arrival, Receiver, Reply

OF_EXECUTIONS = (
    "execution.started",
    "execution.progress",
    "shard.started",
    "shard.completed",
    "execution.completed",
    "execution.failed",
    "execution.cancelled",
)
SECRET = "webhook_secret_key"


class Hook:
    """A registered webhook and its path at the receiver."""

    def __init__(self, api: Api, receiver: Receiver, path: str, webhook_id: str) -> None:
        self._api = api
        self._receiver = receiver
        self._path = path
        self.webhook_id = webhook_id
        self.place = f"/api/webhooks/{webhook_id}"

    @classmethod
    async def registered(cls, api: Api, receiver: Receiver, *events: str, **fields: Any) -> "Hook":
        path = f"/{uuid4().hex}"
        body = {"url": receiver.url(path), "events": events or OF_EXECUTIONS, "secret": SECRET} | fields
        answer = await api.post("/api/webhooks", body)
        assert answer.status == 201, answer.raw
        return cls(api, receiver, path, answer.json["webhookId"])

    def answers(self, *replies: int | Reply) -> None:
        self._receiver.answer(self._path, *replies)

    async def got(self, number: int = 1) -> list[Arrival]:
        return await self._receiver.got(self._path, number)

    @property
    def arrivals(self) -> list[Arrival]:
        return self._receiver.at(self._path)

    async def log(self, **params: str) -> list[Any]:
        answer = await self._api.get(f"{self.place}/deliveries", params=params)
        assert answer.status == 200, answer.raw
        return list(answer.json["deliveries"])

    async def settled(self, number: int = 1) -> list[Any]:
        """Its log, newest first, once it has so many deliveries and none is pending."""

        async def has_settled() -> bool:
            return len(await self.log()) == number and not await self.log(status="pending")

        await eventually(has_settled)
        return await self.log()

    async def delivery(self, delivery_id: str) -> Any:
        return (await self._api.get(f"{self.place}/deliveries/{delivery_id}")).json

    async def state(self) -> Any:
        return (await self._api.get(self.place)).json

    async def post(self, action: str, body: Any = None, **options: Any) -> Any:
        answer = await self._api.post(f"{self.place}/{action}", body, **options)
        assert answer.status in (200, 202), answer.raw
        return answer.json


async def cancelled(api: Api, **fields: Any) -> str:
    """The id of an execution that was called off: the shortest way to one event."""
    execution_id = await api.created(**fields)
    assert (await api.delete(f"/api/executions/{execution_id}")).status == 200
    return execution_id


async def deliveries_of(api: Api, execution_id: str, **params: str) -> list[Any]:
    answer = await api.get(f"/api/executions/{execution_id}/deliveries", params=params)
    return list(answer.json["deliveries"])
