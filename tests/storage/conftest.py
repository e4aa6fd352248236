"""Connections and tenants beside those that all tests have."""

from collections.abc import AsyncIterator

import pytest

from server.stores import Stores
from storage import postgres
from storage.postgres import DirectConnection


@pytest.fixture
async def second(stores: Stores) -> AsyncIterator[DirectConnection]:
    """Another connection of the owning role."""
    opened = await postgres.connect(stores.database_url)
    yield opened
    await opened.close()
