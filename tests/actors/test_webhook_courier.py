"""A courier on a real Postgres and Valkey, with receivers on this machine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

import asyncpg
import msgspec
import pytest

from actors import webhook_courier
from actors.dispatcher import MOST_VISITORS
from actors.webhook_courier import CourierSettings, WebhookCourier
from actors.webhook_sender import WebhookSender
from orchestrator.errors import Unavailable
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import DeliveryStatus, Outcome, RetryPolicy, Webhook, WebhookEvent, WebhookStatus
from orchestrator.webhooks.pacing import FAILURES_TO_OPEN
from orchestrator.webhooks.sealing import NONCE_BYTES, Sealer
from server.stores import Stores
from storage import deliveries, delivery_log, webhooks
from storage.bus import Bus
from storage.delivery_log import DeliveryDetails
from storage.postgres import DirectConnection
from storage.webhooks import Change
from tests import orders
from tests.clock import Clock
from tests.patience import eventually
from tests.receiver import Arrival, Receiver, Reply
from tests.registrations import told, webhook

SECRET = "a secret of sixteen"
FORMER = "the secret before it"
SETTINGS = CourierSettings(
    secret_key=b"the key of the server",
    policy=Policy((ip_network("127.0.0.0/8"),), frozenset({443})),
    rate=0,
    timeout_seconds=20.0,
    disable_after_seconds=3600.0,
)
SEALER = Sealer(SETTINGS.secret_key)
NO_RETRY = RetryPolicy(max_retries=0)
SOON = RetryPolicy(max_retries=3, retry_delay=100)

MakeCourier = Callable[..., WebhookCourier]
Register = Callable[..., Awaitable[Webhook]]


@pytest.fixture
async def make_courier(stores: Stores, partition: int) -> AsyncIterator[MakeCourier]:
    """Starts couriers of the test's number; all are closed at its end."""
    async with AsyncExitStack() as stack:

        def make(clock: Callable[[], datetime] = orders.now, **settings: Any) -> WebhookCourier:
            chosen = msgspec.structs.replace(SETTINGS, **settings)
            courier = WebhookCourier(partition, stores.database_url, stores.redis_url, chosen, clock)
            living = asyncio.create_task(courier.live())
            stack.callback(living.cancel)
            stack.push_async_callback(courier.close)
            return courier

        yield make


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
def register(connection: DirectConnection, tenant: int, partition: int, receiver: Receiver) -> Register:
    """Registers a webhook at a path of the receiver."""

    async def make(path: str = "/hook", **fields: Any) -> Webhook:
        now = orders.now()
        fields = {"url": receiver.url(path), "created_at": now, "updated_at": now} | fields
        wanted = webhook(tenant, courier=partition, **fields)
        return await webhooks.create(connection, wanted, sealed(wanted.webhook_id, SECRET))

    return make


def sealed(webhook_id: str, secret: str) -> bytes:
    return SEALER.seal(secret, webhook_id, b"n" * NONCE_BYTES)


class Gate:
    """Lets requests to a path wait until it is opened."""

    def __init__(self, receiver: Receiver, path: str, status: int = 200) -> None:
        self._open = asyncio.Event()
        self._status = status
        receiver.follow(path, self._pass)

    def open(self) -> None:
        self._open.set()

    async def _pass(self, _arrival: Arrival) -> Reply:
        await self._open.wait()
        return Reply(self._status)


async def details(connection: DirectConnection, delivery_id: str) -> DeliveryDetails:
    return await delivery_log.get(connection, delivery_id)


async def reaches(
    connection: DirectConnection, delivery_id: str, status: DeliveryStatus, *, attempts: int | None = None
) -> DeliveryDetails:
    """Wait until a delivery has this status, and so many attempts."""

    async def has_come() -> bool:
        found = (await details(connection, delivery_id)).delivery
        return found.status is status and attempts in (None, found.attempts)

    await eventually(has_come)
    return await details(connection, delivery_id)


async def all_reach(connection: DirectConnection, delivery_ids: list[str], status: DeliveryStatus) -> None:
    for delivery_id in delivery_ids:
        await reaches(connection, delivery_id, status)


async def fetched_again(courier: WebhookCourier, webhook_id: str) -> None:
    """Have the courier look for rows, and wait until it has."""
    before = (await courier.status())["fetches"]
    await courier.due([webhook_id])

    async def has_looked() -> bool:
        return (await courier.status())["fetches"] > before

    await eventually(has_looked)


@pytest.mark.contract("X-074")
async def test_a_due_delivery_is_sent_signed_and_recorded(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    receiver.answer("/hook", Reply(201, body=b"thanks"))
    hook = await register()
    make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    found = await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    (arrival,) = receiver.at("/hook")
    assert arrival.verified(SECRET) == {"event": "execution.started"}
    assert arrival.message_id == found.delivery.message_id
    assert arrival.headers["x-tms-event"] == "execution.started"
    assert arrival.body.decode() == found.body
    (attempt,) = found.attempts
    assert (attempt.number, attempt.status_code, attempt.error, attempt.reply) == (1, 201, None, "thanks")


async def test_with_a_former_secret_both_sign(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    hook = await register()
    await connection.execute(
        "UPDATE webhooks SET former_secret = $2, former_secret_until = $3 WHERE webhook_id = $1",
        *(hook.webhook_id, sealed(hook.webhook_id, FORMER), orders.now() + timedelta(minutes=1)),
    )
    make_courier()
    await told(connection, [hook], at=orders.now())
    (arrival,) = await receiver.got("/hook")
    assert arrival.verified(SECRET) == arrival.verified(FORMER)


@pytest.mark.contract("X-033", "X-034", "X-075")
async def test_retries_are_due_exactly_as_the_policy_says_and_come_to_an_end(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    clock = Clock()
    receiver.answer("/hook", 500)
    hook = await register(retry_policy=RetryPolicy(max_retries=2, retry_delay=100_000))
    courier = make_courier(clock)
    (delivery_id,) = await told(connection, [hook], at=clock.now)
    for attempts, seconds in ((1, 100), (2, 200)):
        found = await reaches(connection, delivery_id, DeliveryStatus.PENDING, attempts=attempts)
        assert found.delivery.due_at == clock.now + timedelta(seconds=seconds)
        clock.advance(seconds - 0.001)
        await fetched_again(courier, hook.webhook_id)
        assert len(receiver.at("/hook")) == attempts
        clock.advance(0.001)
        await courier.due([hook.webhook_id])
    found = await reaches(connection, delivery_id, DeliveryStatus.FAILED)
    assert (found.delivery.attempts, found.delivery.last_status_code) == (3, 500)
    assert {arrival.message_id for arrival in receiver.at("/hook")} == {found.delivery.message_id}
    assert len({arrival.headers["webhook-timestamp"] for arrival in receiver.at("/hook")}) == 3


@pytest.mark.contract("X-033")
async def test_a_retry_comes_when_it_is_due_without_being_told_of(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    receiver.answer("/hook", 500, 500, 200)
    hook = await register(retry_policy=SOON)
    make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    first, second, third = receiver.at("/hook")
    assert second.at - first.at >= 0.1
    assert third.at - second.at >= 0.2


async def test_first_attempts_begin_in_order(
    make_courier: MakeCourier, register: Register, connection: DirectConnection
) -> None:
    hook = await register()
    ids = [(await told(connection, [hook], at=orders.now()))[0] for _ in range(100)]
    make_courier()
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)
    begun = [(await details(connection, delivery_id)).attempts[0].at for delivery_id in ids]
    assert begun == sorted(begun)


async def test_a_hanging_endpoint_holds_up_nobody_else(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    gate = Gate(receiver, "/hangs")
    hangs, works = await register("/hangs"), await register("/works")
    courier = make_courier()
    stuck = [(await told(connection, [hangs], at=orders.now()))[0] for _ in range(50)]
    ids = [(await told(connection, [works], at=orders.now()))[0] for _ in range(50)]
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)
    assert (await courier.status())["in_flight"] == len(receiver.at("/hangs")) == 4
    gate.open()
    await all_reach(connection, stuck, DeliveryStatus.DELIVERED)


@pytest.mark.contract("X-076")
async def test_no_second_sees_more_requests_than_the_rate(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    hook = await register()
    make_courier(rate=10)
    ids = [(await told(connection, [hook], at=orders.now()))[0] for _ in range(30)]
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)
    times = [arrival.at for arrival in receiver.at("/hook")]
    assert len(times) == 30
    assert all(times[number + 10] - times[number] >= 1.0 for number in range(20))


@pytest.mark.contract("X-075")
async def test_what_a_courier_had_under_way_is_sent_again_by_its_successor_with_the_same_id(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    gate = Gate(receiver, "/hook")
    hook = await register()
    first = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    await first.close()
    make_courier()
    arrivals = await receiver.got("/hook", 2)
    gate.open()
    found = await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    assert {arrival.message_id for arrival in arrivals} == {found.delivery.message_id}
    assert len(found.attempts) == 1


async def test_a_replaced_courier_records_nothing_and_stops(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    old_gate = Gate(receiver, "/hook", status=500)
    hook = await register(retry_policy=NO_RETRY)
    old = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    receiver.answer("/hook", 200)
    new = make_courier()
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    old_gate.open()

    async def has_resigned() -> bool:
        return (await old.status())["epoch"] == 0

    await eventually(has_resigned)
    assert (await old.status())["webhooks"] == 0
    assert (await details(connection, delivery_id)).delivery.status is DeliveryStatus.DELIVERED
    (later,) = await told(connection, [hook], at=orders.now())
    await new.due([hook.webhook_id])
    await reaches(connection, later, DeliveryStatus.DELIVERED)
    assert len(receiver.at("/hook")) == 3


async def test_a_replaced_courier_that_is_asked_takes_up_its_work_again(
    make_courier: MakeCourier, register: Register, connection: DirectConnection
) -> None:
    hook = await register()
    old = make_courier()
    (before,) = await told(connection, [hook], at=orders.now())
    await reaches(connection, before, DeliveryStatus.DELIVERED)
    new = make_courier()
    await eventually(lambda: _has_claimed(new))
    await new.close()
    (after,) = await told(connection, [hook], at=orders.now())

    async def is_delivered() -> bool:
        await old.due([hook.webhook_id])
        return (await details(connection, after)).delivery.status is DeliveryStatus.DELIVERED

    await eventually(is_delivered)


async def _has_claimed(courier: WebhookCourier) -> bool:
    return (await courier.status())["claims"] > 0


async def test_an_outcome_that_cannot_be_recorded_is_kept_and_not_sent_again(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    gate = Gate(receiver, "/hook")
    hook = await register()
    courier = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'tms' AND pid <> pg_backend_pid()"
    )
    gate.open()
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    (later,) = await told(connection, [hook], at=orders.now())
    await reaches(connection, later, DeliveryStatus.DELIVERED)
    assert len(receiver.at("/hook")) == 2
    status = await courier.status()
    assert (status["claims"], status["unrecorded"]) == (2, 0)


async def test_behind_a_backlog_of_a_failing_endpoint_retries_find_out_that_it_is_back(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    receiver.answer("/hook", *[500] * (FAILURES_TO_OPEN + 5), 200)
    hook = await register(retry_policy=SOON)
    ids = [(await told(connection, [hook], at=orders.now()))[0] for _ in range(100)]
    courier = make_courier()

    async def is_held_back() -> bool:
        return (await courier.status())["held_back"] == 1

    await eventually(is_held_back)
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)
    assert (await courier.status())["held_back"] == 0


async def test_an_endpoint_that_asks_for_peace_gets_it(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    clock = Clock()
    receiver.answer("/hook", Reply(503, {"Retry-After": "60"}))
    hook = await register(retry_policy=SOON)
    courier = make_courier(clock)
    (first,) = await told(connection, [hook], at=clock.now)
    found = await reaches(connection, first, DeliveryStatus.PENDING, attempts=1)
    assert found.delivery.due_at == clock.now + timedelta(seconds=60)
    await told(connection, [hook], at=clock.now)
    await fetched_again(courier, hook.webhook_id)
    assert (await courier.status())["waiting"] == 1
    assert len(receiver.at("/hook")) == 1


async def test_an_endpoint_that_is_gone_is_disabled_and_others_are_told(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    receiver.answer("/hook", 410)
    watcher = await register("/watcher", events=(WebhookEvent.WEBHOOK_DISABLED,))
    hook = await register()
    (first,) = await told(connection, [hook], at=orders.now())
    courier = make_courier()
    await reaches(connection, first, DeliveryStatus.FAILED)
    (arrival,) = await receiver.got("/watcher")
    assert arrival.json["data"]["webhookId"] == hook.webhook_id
    assert arrival.json["data"]["reasonCode"] == "gone"
    assert watcher.webhook_id != hook.webhook_id
    stored = await webhooks.get(connection, hook.webhook_id)
    assert (stored.status, stored.status_reason) == (WebhookStatus.DISABLED, "The endpoint answered 410 Gone")
    await told(connection, [hook], at=orders.now())
    await fetched_again(courier, watcher.webhook_id)
    assert len(receiver.at("/hook")) == 1
    assert (await courier.status())["disabled"] == 1


async def test_an_endpoint_that_only_fails_is_disabled_after_a_while_and_starts_anew_when_activated(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    clock = Clock()
    receiver.answer("/hook", 500, 500, 500, 200)
    hook = await register(retry_policy=NO_RETRY)
    courier = make_courier(clock, disable_after_seconds=100.0)
    for seconds in (99.0, 1.0):
        (delivery_id,) = await told(connection, [hook], at=clock.now)
        await courier.due([hook.webhook_id])
        await reaches(connection, delivery_id, DeliveryStatus.FAILED)
        assert (await webhooks.get(connection, hook.webhook_id)).status is WebhookStatus.ACTIVE
        clock.advance(seconds)
    (delivery_id,) = await told(connection, [hook], at=clock.now)
    await courier.due([hook.webhook_id])
    await reaches(connection, delivery_id, DeliveryStatus.FAILED)
    stored = await webhooks.get(connection, hook.webhook_id)
    assert stored.status is WebhookStatus.DISABLED
    assert stored.status_reason is not None
    assert stored.status_reason.startswith("No delivery succeeded since ")
    await webhooks.update(connection, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=clock.now)
    await courier.changed(hook.webhook_id)
    (later,) = await told(connection, [hook], at=clock.now)
    await courier.due([hook.webhook_id])
    await reaches(connection, later, DeliveryStatus.DELIVERED)


async def test_nothing_is_sent_to_the_old_url_after_a_change(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    gate = Gate(receiver, "/old")
    hook = await register("/old")
    courier = make_courier()
    ids = [(await told(connection, [hook], at=orders.now()))[0] for _ in range(10)]
    await receiver.got("/old", 4)
    await webhooks.update(connection, hook.webhook_id, Change(url=receiver.url("/new")), now=orders.now())
    gate.open()
    await courier.changed(hook.webhook_id)
    assert len(receiver.at("/old")) == 4
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)
    assert (len(receiver.at("/old")), len(receiver.at("/new"))) == (4, 6)


@pytest.mark.contract("X-042")
async def test_nothing_is_sent_after_a_deletion_and_what_hangs_is_cut_off(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.dispatcher.GRACE_SECONDS", 0.05)
    Gate(receiver, "/hook")
    hook = await register()
    courier = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    await webhooks.delete(connection, hook.webhook_id, now=orders.now())
    await courier.changed(hook.webhook_id)
    status = await courier.status()
    assert (status["webhooks"], status["in_flight"]) == (0, 0)
    assert (await details(connection, delivery_id)).attempts == []


async def test_what_is_pending_rests_while_the_webhook_is_paused(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    hook = await register(status=WebhookStatus.INACTIVE)
    courier = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await courier.changed(hook.webhook_id)
    await webhooks.update(connection, hook.webhook_id, Change(status=WebhookStatus.ACTIVE), now=orders.now())
    assert receiver.arrivals == []
    await courier.changed(hook.webhook_id)
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)


async def test_a_change_of_which_nobody_told_is_noticed(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_courier, "REREAD_SECONDS", 0.05)
    hook = await register("/old")
    make_courier()
    await told(connection, [hook], at=orders.now())
    await receiver.got("/old")
    await webhooks.update(connection, hook.webhook_id, Change(url=receiver.url("/new")), now=orders.now())

    async def has_come() -> bool:
        await told(connection, [hook], at=orders.now())
        return bool(receiver.at("/new"))

    await eventually(has_come)


async def test_the_bus_tells_of_new_rows_and_new_webhooks(
    make_courier: MakeCourier,
    register: Register,
    stores: Stores,
    partition: int,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_courier, "LOOK_SECONDS", 3600.0)
    courier = make_courier()
    await eventually(lambda: _has_claimed(courier))
    hook = await register()
    bus = Bus(stores.redis_url)
    try:
        for _ in range(2):
            (delivery_id,) = await told(connection, [hook], at=orders.now())

            async def is_delivered(delivery_id: str = delivery_id) -> bool:
                await bus.publish_due({partition: [hook.webhook_id]})
                return (await details(connection, delivery_id)).delivery.status is DeliveryStatus.DELIVERED

            await eventually(is_delivered)
    finally:
        await bus.close()


@pytest.mark.contract("X-039")
@pytest.mark.parametrize("status", [WebhookStatus.ACTIVE, WebhookStatus.INACTIVE])
async def test_validating_sends_one_signed_request_and_records_nothing(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    status: WebhookStatus,
) -> None:
    hook = await register(status=status)
    receiver.answer("/hook", Reply(500, body=b"not today"))
    outcome = await make_courier().validate(hook.webhook_id)
    assert outcome is not None
    assert (outcome.status_code, outcome.reply) == (500, "not today")
    (arrival,) = receiver.at("/hook")
    assert arrival.verified(SECRET)["event"] == "webhook.test"
    assert arrival.headers["x-tms-event"] == "webhook.test"
    assert (
        await connection.fetchval("SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1", hook.webhook_id) == 0
    )


async def test_validating_what_is_not_there_sends_nothing(make_courier: MakeCourier) -> None:
    assert await make_courier().validate("wh_000") is None


async def test_a_secret_of_another_key_is_told_and_nothing_is_sent(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    hook = await register()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    courier = make_courier(secret_key=b"another key")
    outcome = await courier.validate(hook.webhook_id)
    assert outcome is not None
    assert outcome.error == "The secret cannot be read; give the webhook a new one"
    assert receiver.arrivals == []
    assert (await details(connection, delivery_id)).delivery.status is DeliveryStatus.PENDING


@pytest.mark.contract("X-076")
async def test_a_test_request_counts_for_the_rate(
    make_courier: MakeCourier, register: Register, receiver: Receiver
) -> None:
    hook = await register()
    courier = make_courier(rate=1)
    await courier.validate(hook.webhook_id)
    await courier.validate(hook.webhook_id)
    first, second = receiver.at("/hook")
    assert second.at - first.at >= 1.0


async def test_a_fault_of_ours_is_a_failed_attempt_and_follows_the_schedule(
    make_courier: MakeCourier, register: Register, connection: DirectConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Outcome:
        raise RuntimeError("a fault")

    monkeypatch.setattr(WebhookSender, "send", broken)
    hook = await register(retry_policy=RetryPolicy(max_retries=1, retry_delay=100))
    make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    found = await reaches(connection, delivery_id, DeliveryStatus.FAILED)
    assert [attempt.error for attempt in found.attempts] == ["Internal error: RuntimeError"] * 2


async def test_an_outcome_that_the_database_cannot_take_harms_no_other(
    make_courier: MakeCourier, register: Register, connection: DirectConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = WebhookSender.send

    async def damaged(self: WebhookSender, *arguments: Any) -> Outcome:
        outcome = await send(self, *arguments)
        return msgspec.structs.replace(outcome, duration_ms=-1) if arguments[0].path == "/broken" else outcome

    monkeypatch.setattr(WebhookSender, "send", damaged)
    broken, fine = await register("/broken"), await register("/fine")
    (lost,) = await told(connection, [broken], at=orders.now())
    ids = [(await told(connection, [fine], at=orders.now()))[0] for _ in range(10)]
    courier = make_courier()
    await all_reach(connection, ids, DeliveryStatus.DELIVERED)

    async def is_given_up() -> bool:
        status = await courier.status()
        return bool(status["failed_commits"]) and not status["unrecorded"]

    await eventually(is_given_up)
    assert (await details(connection, lost)).attempts == []


async def test_a_delivery_whose_outcome_was_lost_is_made_again_after_a_while(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = WebhookSender.send

    async def damaged(self: WebhookSender, *arguments: Any) -> Outcome:
        outcome = await send(self, *arguments)
        return msgspec.structs.replace(outcome, duration_ms=-1) if outcome.is_gone else outcome

    monkeypatch.setattr(WebhookSender, "send", damaged)
    monkeypatch.setattr("actors.recorder.LOST_SECONDS", 0.05)
    receiver.answer("/hook", 410, 200)
    hook = await register()
    make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    found = await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    assert (len(found.attempts), len(receiver.arrivals)) == (1, 2)


async def test_a_fault_of_the_database_costs_no_outcome(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = deliveries.record
    faults: list[Exception] = [asyncpg.UndefinedTableError("it is being moved")]

    async def failing(*arguments: Any) -> None:
        if faults:
            raise faults.pop()
        await record(*arguments)

    monkeypatch.setattr(deliveries, "record", failing)
    hook = await register()
    courier = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    assert len(receiver.arrivals) == 1
    assert (await courier.status())["claims"] == 2


async def test_a_replaced_courier_that_has_nothing_to_record_sends_nothing_more(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection, partition: int
) -> None:
    hook = await register()
    courier = make_courier()
    await eventually(lambda: _has_claimed(courier))
    await deliveries.claim(connection, partition)
    await told(connection, [hook], at=orders.now())

    async def has_resigned() -> bool:
        return (await courier.status())["epoch"] == 0

    await eventually(has_resigned)
    assert receiver.arrivals == []


async def test_a_change_of_what_requests_do_not_depend_on_cuts_none_off(
    make_courier: MakeCourier,
    register: Register,
    receiver: Receiver,
    connection: DirectConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.dispatcher.GRACE_SECONDS", 0.05)
    gate = Gate(receiver, "/hook")
    hook = await register()
    courier = make_courier()
    (delivery_id,) = await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    await webhooks.update(connection, hook.webhook_id, Change(retry_policy=NO_RETRY), now=orders.now())
    await courier.changed(hook.webhook_id)
    assert (await courier.status())["in_flight"] == 1
    gate.open()
    await reaches(connection, delivery_id, DeliveryStatus.DELIVERED)
    assert len(receiver.arrivals) == 1


async def test_only_a_few_test_requests_wait_for_one_endpoint(
    make_courier: MakeCourier, register: Register, receiver: Receiver, connection: DirectConnection
) -> None:
    Gate(receiver, "/hook")
    hook = await register()
    courier = make_courier(rate=1)
    await told(connection, [hook], at=orders.now())
    await receiver.got("/hook")
    asked = [asyncio.create_task(courier.validate(hook.webhook_id)) for _ in range(MOST_VISITORS + 1)]
    (refused,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(Unavailable):
        await refused
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
