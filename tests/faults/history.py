"""Whether history has every execution that ended, as it ended and once."""

from orchestrator.history.model import REMEMBERED
from storage.current_tests import CURRENT_TESTS
from storage.postgres import DirectConnection
from tests.patience import eventually

_UNWRITTEN = "SELECT count(*) FROM executions WHERE ended_at IS NULL OR NOT digested"

# Executions whose runs are not those of their current tests.
_EXECUTIONS_ASTRAY = f"""
    SELECT count(*) FROM executions AS e
    WHERE (SELECT count(DISTINCT stable_test_id(t.file, t.title)) {CURRENT_TESTS.replace("$1", "e.execution_id")})
        <> (SELECT count(*) FROM test_runs AS r WHERE r.execution_id = e.execution_id)
"""  # noqa: S608 - our own words

# Tests of which anything else is remembered than their latest runs.
_TESTS_ASTRAY = f"""
    WITH runs AS (
        SELECT test_id, number, row_number() OVER (PARTITION BY test_id ORDER BY number DESC) AS place
        FROM test_runs JOIN digested_executions USING (execution_id)
    ), latest AS (
        SELECT test_id, array_agg(number ORDER BY number DESC) AS numbers
        FROM runs WHERE place <= {REMEMBERED} GROUP BY test_id
    )
    SELECT count(*) FROM known_tests AS k FULL JOIN latest USING (test_id)
    WHERE k.numbers IS DISTINCT FROM latest.numbers
"""  # noqa: S608 - our own words


async def check(connection: DirectConnection) -> None:
    """Wait until all is digested, and compare it with what it was made from. Of one tenant, and all have ended."""

    async def is_written() -> bool:
        return not await connection.fetchval(_UNWRITTEN)

    await eventually(is_written, 60)
    assert await connection.fetchval(_EXECUTIONS_ASTRAY) == 0
    assert await connection.fetchval(_TESTS_ASTRAY) == 0
