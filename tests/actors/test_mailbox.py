"""The mailbox: batches, bounded queues, and commands sent again until they are answered."""

import asyncio

import msgspec
import pytest
from ray.exceptions import ActorUnavailableError

from actors import mailbox
from actors.mailbox import Mailbox, partition_of
from orchestrator import errors
from orchestrator.executions.commands import AnyCommand, Create, Postponed, Receipt, Refusal, Reply
from orchestrator.executions.model import ExecutionStatus
from tests import orders
from tests.measured import measured


class ScriptedOwner:
    """Answers as a test says; remembers what it was sent."""

    def __init__(self) -> None:
        self.batches: list[list[AnyCommand]] = []
        self.failures: list[Exception] = []
        self.replies: dict[str, Reply] = {}
        self.open = asyncio.Event()
        self.open.set()

    async def handle(self, batch: bytes) -> bytes:
        commands = msgspec.msgpack.decode(batch, type=list[AnyCommand])
        self.batches.append(commands)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        return msgspec.msgpack.encode([self._reply(command) for command in commands])

    def _reply(self, command: AnyCommand) -> Reply:
        default = Receipt(
            execution_id=command.execution_id, at=orders.now(), applied=True, status=ExecutionStatus.CREATED
        )
        return self.replies.pop(command.command_id, default)


@pytest.fixture
def owner() -> ScriptedOwner:
    return ScriptedOwner()


@pytest.fixture
def box(owner: ScriptedOwner) -> Mailbox:
    return Mailbox([owner], wait_seconds=5)


async def settled(count: int) -> None:
    """Let that many rounds of the loop pass, so that tasks reach what they wait for."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_while_a_call_is_under_way_the_next_batch_gathers(owner: ScriptedOwner, box: Mailbox) -> None:
    owner.open.clear()
    sends = [asyncio.create_task(box.send(orders.create()))]
    await settled(5)
    sends += [asyncio.create_task(box.send(orders.create())) for _ in range(50)]
    await settled(5)
    assert [len(batch) for batch in owner.batches] == [1]
    owner.open.set()
    await asyncio.gather(*sends)
    assert [len(batch) for batch in owner.batches] == [1, 50]


async def test_a_restarting_owner_is_not_seen_by_the_caller(owner: ScriptedOwner, box: Mailbox) -> None:
    owner.failures = [ActorUnavailableError("killed", None), ActorUnavailableError("killed", None)]
    command = orders.create()
    receipt = await box.send(command)
    assert receipt.execution_id == command.execution_id
    sent = [batch[0] for batch in owner.batches]
    assert [one.command_id for one in sent] == [command.command_id] * 3
    assert [one.may_repeat for one in sent] == [False, True, True]


async def test_a_postponed_command_is_sent_again_in_front_of_later_ones(owner: ScriptedOwner, box: Mailbox) -> None:
    first = orders.create()
    owner.replies[first.command_id] = Postponed(message="the database is away")
    assert (await box.send(first)).applied
    assert [batch[0].may_repeat for batch in owner.batches] == [False, True]


async def test_an_owner_that_stays_away_makes_the_caller_come_back(owner: ScriptedOwner) -> None:
    owner.failures = [ActorUnavailableError("killed", None)] * 1000
    with pytest.raises(errors.Unavailable):
        await Mailbox([owner], wait_seconds=0.2).send(orders.create())


async def test_a_full_queue_refuses_at_once(
    owner: ScriptedOwner, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "QUEUE_COMMANDS", 3)
    owner.open.clear()
    sends = [asyncio.create_task(box.send(orders.create())) for _ in range(3)]
    await settled(3)
    with pytest.raises(errors.Unavailable) as refused:
        await box.send(orders.create())
    assert refused.value.retry_after >= 1
    owner.open.set()
    await asyncio.gather(*sends)
    assert box.depths() == [0]


async def test_a_tenant_that_fills_its_half_of_a_queue_is_refused_and_others_are_not(
    owner: ScriptedOwner, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "QUEUE_COMMANDS_OF_TENANT", 3)
    owner.open.clear()
    under_way = asyncio.create_task(box.send(orders.create(tenant=1)))
    await settled(3)
    waiting = [asyncio.create_task(box.send(orders.create(tenant=1))) for _ in range(3)]
    await settled(3)
    refused = asyncio.create_task(box.send(orders.create(tenant=1)))
    await settled(3)
    assert isinstance(refused.exception(), errors.Unavailable)
    other = asyncio.create_task(box.send(orders.create(tenant=2)))
    owner.open.set()
    await asyncio.gather(under_way, *waiting, other)
    assert [command.tenant_id for command in owner.batches[1]] == [1, 2, 1, 1]


async def test_what_is_repeated_and_given_up_is_counted(
    owner: ScriptedOwner, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.failures = [ActorUnavailableError("killed", None)]
    await box.send(orders.create())
    monkeypatch.setattr(mailbox, "QUEUE_COMMANDS", 0)
    with pytest.raises(errors.Unavailable):
        await box.send(orders.create())
    told = list(box.measures.collect())
    assert measured(told, "tms_mailbox_repeated_commands_total", partition="0") == 1
    assert measured(told, "tms_mailbox_given_up_commands_total", partition="0") == 1
    assert measured(told, "tms_mailbox_call_seconds_count", partition="0") == 2
    assert measured(told, "tms_mailbox_commands", partition="0") == 0


async def test_who_waited_for_too_long_is_given_up(owner: ScriptedOwner) -> None:
    owner.failures = [ActorUnavailableError("killed", None)] * 1000
    box = Mailbox([owner], wait_seconds=0.01)
    with pytest.raises(errors.Unavailable):
        await box.send(orders.create())
    assert measured(box.measures.collect(), "tms_mailbox_given_up_commands_total", partition="0") == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("NOT_FOUND", errors.NotFound),
        ("CONFLICT", errors.Conflict),
        ("VALIDATION_ERROR", errors.ValidationFailed),
        ("INTERNAL_ERROR", errors.InternalError),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind(
    owner: ScriptedOwner, box: Mailbox, code: str, error: type[errors.TMSError]
) -> None:
    command: Create = orders.create()
    owner.replies[command.command_id] = Refusal(code=code, message="no")
    with pytest.raises(error):
        await box.send(command)


async def test_a_closing_mailbox_lets_nobody_wait(owner: ScriptedOwner, box: Mailbox) -> None:
    owner.open.clear()
    sends = [asyncio.create_task(box.send(orders.create())) for _ in range(10)]
    await settled(3)
    await box.close()
    for outcome in await asyncio.gather(*sends, return_exceptions=True):
        assert isinstance(outcome, errors.Unavailable)


def test_an_execution_belongs_to_the_same_partition_everywhere() -> None:
    assert partition_of("exec_2025080412345", 8) == 4
    counted = [partition_of(f"exec_{number}", 4) for number in range(4000)]
    assert all(800 < counted.count(partition) < 1200 for partition in range(4))
