"""Months of test rows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from storage import retention
from storage.postgres import DirectConnection


@pytest.fixture
async def undone(connection: DirectConnection) -> AsyncIterator[DirectConnection]:
    """A connection whose changes, tables made and dropped included, are undone after the test."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


async def test_months_are_made_ahead_and_never_twice(undone: DirectConnection) -> None:
    now = datetime(2031, 11, 30, 23, 59, tzinfo=UTC)
    for _ in range(2):
        await retention.maintain(undone, now, keep_months=0)
    made = [name for name in await retention.months(undone) if name.startswith(("tests_2031", "tests_2032"))]
    assert made == ["tests_2031_10", "tests_2031_11", "tests_2031_12", "tests_2032_01", "tests_2032_02"]


async def test_only_months_past_keeping_are_dropped(undone: DirectConnection) -> None:
    await retention.maintain(undone, datetime(2030, 1, 15, tzinfo=UTC), keep_months=0)
    await retention.maintain(undone, datetime(2030, 4, 15, tzinfo=UTC), keep_months=2)
    names = await retention.months(undone)
    assert names[0] == "tests_2030_02"
    assert "tests_2029_12" not in names


async def test_nothing_is_dropped_unless_asked(undone: DirectConnection) -> None:
    await retention.maintain(undone, datetime(2030, 1, 15, tzinfo=UTC), keep_months=0)
    await retention.maintain(undone, datetime(2040, 1, 15, tzinfo=UTC), keep_months=0)
    assert "tests_2030_01" in await retention.months(undone)


async def test_old_receipts_are_forgotten(undone: DirectConnection, tenant: int) -> None:
    await undone.execute(
        "INSERT INTO receipts (command_id, tenant_id, execution_id, fingerprint, receipt, recorded_at)"
        " VALUES ('old', $1, 'x', '', '{}', '2026-11-01Z'), ('new', $1, 'x', '', '{}', '2026-11-20Z')",
        tenant,
    )
    await retention.maintain(undone, datetime(2026, 11, 21, tzinfo=UTC), keep_months=0)
    rows = await undone.fetch("SELECT command_id FROM receipts WHERE tenant_id = $1", tenant)
    assert [row["command_id"] for row in rows] == ["new"]
