"""What a gateway holds of the couriers: the right one is asked, and a restart of it is not seen by the caller."""

import asyncio
from collections.abc import Sequence

import pytest
from ray.exceptions import ActorUnavailableError

from actors.couriers import Couriers
from orchestrator.errors import NotFound, Unavailable
from orchestrator.webhooks.model import Outcome
from tests import orders

AWAY = ActorUnavailableError("killed", None)
ANSWERED = Outcome(at=orders.now(), duration_ms=3, status_code=200)


class ScriptedCourier:
    """Fails and answers as a test says; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.failures: list[Exception] = []
        self.outcome: Outcome | None = ANSWERED

    async def validate(self, webhook_id: str) -> Outcome | None:
        self._ask(("validate", webhook_id))
        return self.outcome

    async def changed(self, webhook_id: str) -> None:
        self._ask(("changed", webhook_id))

    async def due(self, webhook_ids: Sequence[str]) -> None:
        self._ask(("due", *webhook_ids))

    def _ask(self, what: object) -> None:
        self.asked.append(what)
        if self.failures:
            raise self.failures.pop(0)


async def test_the_courier_of_the_webhook_is_asked() -> None:
    each = [ScriptedCourier() for _ in range(4)]
    couriers = Couriers(each, wait_seconds=5)
    for webhook_id in ("wh_1", "wh_2", "wh_3"):
        assert await couriers.validate(webhook_id) == ANSWERED
        await couriers.changed(webhook_id)
        await couriers.due(webhook_id)
        asked = each[couriers.of(webhook_id)].asked[-3:]
        assert asked == [("validate", webhook_id), ("changed", webhook_id), ("due", webhook_id)]
    assert sum(len(courier.asked) for courier in each) == 9


async def test_a_restarting_courier_is_not_seen_by_the_caller() -> None:
    courier = ScriptedCourier()
    couriers = Couriers([courier], wait_seconds=5)
    courier.failures = [AWAY, AWAY]
    await couriers.changed("wh_1")
    courier.failures = [AWAY]
    assert await couriers.validate("wh_1") == ANSWERED
    assert len(courier.asked) == 5


async def test_a_courier_that_stays_away_makes_the_caller_come_back() -> None:
    courier = ScriptedCourier()
    courier.failures = [AWAY] * 1000
    couriers = Couriers([courier], wait_seconds=0.2)
    with pytest.raises(Unavailable):
        await couriers.changed("wh_1")
    with pytest.raises(Unavailable):
        await couriers.validate("wh_1")


async def test_a_courier_that_is_away_looks_by_itself_when_it_is_back() -> None:
    courier = ScriptedCourier()
    courier.failures = [AWAY]
    await Couriers([courier], wait_seconds=5).due("wh_1")
    assert len(courier.asked) == 1


async def test_a_webhook_that_its_courier_does_not_know_is_none() -> None:
    courier = ScriptedCourier()
    courier.outcome = None
    with pytest.raises(NotFound):
        await Couriers([courier], wait_seconds=5).validate("wh_000")


async def test_a_courier_that_hangs_makes_the_caller_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class HungCourier(ScriptedCourier):
        async def changed(self, webhook_id: str) -> None:
            await super().changed(webhook_id)
            await asyncio.Event().wait()

    monkeypatch.setattr("actors.couriers.CALL_SECONDS", 0.01)
    with pytest.raises(Unavailable):
        await Couriers([HungCourier()], wait_seconds=5).changed("wh_1")
