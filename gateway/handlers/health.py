"""Whether the server lives, whether it can work, and its numbers."""

import asyncio

from gateway.calls import Call
from gateway.middleware.metrics import METRICS, answer_of
from gateway.wire import health as wire
from orchestrator.errors import FieldError, TMSError, Unavailable
from storage.bus import Bus, BusError
from storage.postgres import Reader

CHECK_SECONDS = 2.0


async def alive(_call: Call[None, None]) -> wire.Alive:
    """The process answers."""
    return wire.Alive()


async def ready(call: Call[None, None]) -> wire.Ready:
    """Database, bus, owners and couriers answer; `Unavailable` names what does not."""
    services = call.services
    actors = [(f"{kind} {number}", one) for kind, all_ in services.actors.items() for number, one in enumerate(all_)]
    database, bus, *told = await asyncio.gather(
        _database_answers(services.reader),
        _bus_answers(services.bus),
        *(answer_of(actor.status()) for _, actor in actors),
    )
    answers = {"database": database, "bus": bus} | {
        name: numbers is not None for (name, _), numbers in zip(actors, told, strict=True)
    }
    missing = [name for name, is_there in answers.items() if not is_there]
    if missing:
        details = tuple(FieldError(name, "Does not answer") for name in missing)
        raise Unavailable(f"Not ready: no answer from {', '.join(missing)}", details)
    return wire.Ready()


async def metrics(call: Call[None, None]) -> bytes:
    """All numbers."""
    return await call.request.config_dict[METRICS].text(call.services.actors)


async def _database_answers(reader: Reader) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS), reader.nobody() as connection:
            await connection.execute("SELECT 1")
    except (TMSError, TimeoutError):
        return False
    return True


async def _bus_answers(bus: Bus) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await bus.ping()
    except (*BusError, TimeoutError):
        return False
    return True
