"""The pool of the gateway's connections: how it is used can be seen."""

import asyncio

import pytest

from orchestrator.errors import Unavailable
from storage import postgres
from storage.postgres import Reader
from tests.measured import measured

SIZE = 2
"""Of the pool."""


async def test_the_pool_tells_how_it_is_used_and_how_long_it_is_waited_for(reader: Reader) -> None:
    async with reader.nobody(), reader.nobody():
        assert measured(reader.collect(), "tms_database_connections", state="used") == SIZE
        assert measured(reader.collect(), "tms_database_connections_limit") == SIZE
        waiting = asyncio.create_task(ask(reader))
        await asyncio.sleep(0)
        assert measured(reader.collect(), "tms_database_wait_seconds_count") == SIZE
    await waiting
    assert measured(reader.collect(), "tms_database_connections", state="used") == 0
    assert measured(reader.collect(), "tms_database_wait_seconds_count") == SIZE + 1


async def test_who_waits_in_vain_is_counted_too(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reader.nobody(), reader.nobody():
        with monkeypatch.context() as impatient:
            impatient.setattr(postgres, "CONNECT_SECONDS", 0.01)
            with pytest.raises(Unavailable):
                await ask(reader)
    assert measured(reader.collect(), "tms_database_wait_seconds_count") == SIZE + 1
    await ask(reader)


async def ask(reader: Reader) -> None:
    async with reader.nobody() as connection:
        await connection.execute("SELECT 1")
