"""Shards that the server runs: who has each, since when, and which are next.

Every change names the attempt that it is made by, so that a process that was replaced changes nothing more. All times
are the database's, so that no two clocks are compared.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from orchestrator.executions.model import Execution
from orchestrator.jobs.model import Definition, JobRun, ShardState
from storage import jobs
from storage.postgres import Connection

# One scheduler at a time counts what runs and starts more; the number only has to be ours.
_LOCK = 0x544D56

_STATE = "shards AS s JOIN executions AS e USING (execution_id)"
_SAME = "s.execution_id = j.execution_id AND s.number = j.shard"
_IS_NEEDED = "(e.status IN ('created', 'running') AND s.status IN ('pending', 'running'))"

MOST_FALSE_STARTS = 10
LONGEST_PAUSE_SECONDS = 60

# Starts of which nothing came, the one that is judged among them.
_FALSE_STARTS = "(j.attempt - j.failures)"

# One that had not begun yet has lost nothing, and takes no retry; but each time it waits longer, and not for ever.
# What has ended in the eyes of its execution is not run again.
_AFTER_DEATH = (
    f"state = CASE WHEN NOT {_IS_NEEDED} THEN 'ended'"
    " WHEN j.state = 'running' AND j.failures >= (e.configuration ->> 'retries')::int THEN 'lost'"
    f" WHEN j.state = 'placed' AND {_FALSE_STARTS} >= {MOST_FALSE_STARTS} THEN 'lost' ELSE 'waiting' END,"
    f" ended_at = CASE WHEN NOT {_IS_NEEDED} THEN now() END,"
    " failures = j.failures + (j.state = 'running')::int,"
    " queued_at = now() + CASE WHEN j.state = 'placed'"
    f"  THEN least(2 ^ ({_FALSE_STARTS} - 1), {LONGEST_PAUSE_SECONDS}) * interval '1 second' ELSE '0' END"
)


class Key(msgspec.Struct, frozen=True):
    """One attempt of a shard."""

    execution_id: str
    shard: int
    attempt: int

    @property
    def runner_id(self) -> str:
        """The name of whoever runs it."""
        return f"shard-runner-{self.execution_id}-{self.shard}-{self.attempt}"


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that is to be started, with all that it is started with.

    Attributes:
        shards: how many the execution has.
        environment: sealed.
    """

    key: Key
    tenant_id: int
    shards: int
    run: JobRun
    definition: Definition
    environment: bytes


class Candidate(msgspec.Struct, frozen=True):
    """A shard that waits, in its turn."""

    execution_id: str
    shard: int
    definition: Definition


async def insert(connection: Connection, started: Iterable[tuple[Execution, JobRun]]) -> None:
    """Have the shards of new executions wait; in the transaction that makes these."""
    runs, shards = [], []
    for execution, run in started:
        parameters = msgspec.json.encode(run.parameters).decode()
        runs.append((execution.execution_id, execution.tenant_id, run.job_id, run.version, parameters))
        shards += [
            (execution.execution_id, int(shard.shard_id), execution.tenant_id, ShardState.WAITING, execution.created_at)
            for shard in execution.shards
        ]
    if runs:
        await connection.copy_records_to_table(
            "job_runs", records=runs, columns=("execution_id", "tenant_id", "job_id", "version", "parameters")
        )
        await connection.copy_records_to_table(
            "job_shards", records=shards, columns=("execution_id", "shard", "tenant_id", "state", "queued_at")
        )


async def end_needless(connection: Connection) -> None:
    """End what nobody has to run any more: its shard or its execution has ended."""
    await connection.execute(
        f"UPDATE job_shards AS j SET state = 'ended', ended_at = now() FROM {_STATE}"  # noqa: S608 - our own words
        f" WHERE {_SAME} AND j.state IN ('waiting', 'placed', 'lost') AND NOT {_IS_NEEDED}"
    )


async def renew(connection: Connection, started: Sequence[Key]) -> set[Key]:
    """A sign of life of whoever has started these, for those that have no process yet.

    Gives the attempts that still have their shards, with a process or without.
    """
    rows = await connection.fetch(
        "UPDATE job_shards AS j SET seen_at = CASE WHEN j.state = 'placed' THEN now() ELSE j.seen_at END"
        " FROM unnest($1::text[], $2::int[], $3::int[]) AS k(execution_id, shard, attempt)"
        " WHERE j.execution_id = k.execution_id AND j.shard = k.shard AND j.attempt = k.attempt"
        " AND j.state IN ('placed', 'running') RETURNING j.execution_id, j.shard, j.attempt",
        [key.execution_id for key in started],
        [key.shard for key in started],
        [key.attempt for key in started],
    )
    return {Key(*row) for row in rows}


async def lapse_silent(connection: Connection, lease: timedelta) -> None:
    """Take shards from those who were silent for so long; one that ran is run again, or lost (`_AFTER_DEATH`)."""
    await connection.execute(
        f"UPDATE job_shards AS j SET {_AFTER_DEATH},"  # noqa: S608 - our own words
        " reason = 'Its runner, or the node that it was on, was silent for too long'"
        f" FROM {_STATE} WHERE {_SAME} AND j.state IN ('placed', 'running') AND j.seen_at < now() - $1::interval",
        lease,
    )


async def lapse(connection: Connection, key: Key, reason: str) -> None:
    """Take a shard from a runner that has died; nothing where it has ended, or another has it."""
    await connection.execute(
        f"UPDATE job_shards AS j SET {_AFTER_DEATH}, reason = $4"  # noqa: S608 - our own words
        f" FROM {_STATE} WHERE {_SAME} AND j.state IN ('placed', 'running')"
        " AND j.execution_id = $1 AND j.shard = $2 AND j.attempt = $3",
        *(key.execution_id, key.shard, key.attempt, reason),
    )


async def give_up(connection: Connection, key: Key, reason: str) -> None:
    """Do not run a shard at all, for it cannot be started anywhere."""
    await connection.execute(
        "UPDATE job_shards SET state = 'lost', reason = $4"
        " WHERE execution_id = $1 AND shard = $2 AND attempt = $3 AND state = 'placed'",
        *(key.execution_id, key.shard, key.attempt, reason),
    )


async def hinder(connection: Connection, execution_id: str, shard: int, reason: str, *, is_given_up: bool) -> None:
    """Tell why a shard that waits is not started; or do not run it at all."""
    await connection.execute(
        "UPDATE job_shards SET reason = $3, state = CASE WHEN $4 THEN 'lost' ELSE state END"
        " WHERE execution_id = $1 AND shard = $2 AND state = 'waiting'",
        *(execution_id, shard, reason, is_given_up),
    )


class LostShard(msgspec.Struct, frozen=True):
    """A shard that is not run again; its execution does not know yet."""

    key: Key
    reason: str


async def lost(connection: Connection) -> list[LostShard]:
    """Shards that were given up."""
    rows = await connection.fetch(
        "SELECT execution_id, shard, attempt, reason FROM job_shards WHERE state = 'lost' ORDER BY queued_at LIMIT 100"
    )
    return [LostShard(Key(row["execution_id"], row["shard"], row["attempt"]), row["reason"]) for row in rows]


async def candidates(connection: Connection, limit: int, most: int) -> list[Candidate]:
    """Shards that may be started, in the order of their turns, for the running transaction alone.

    Tenants take turns: the one with the fewest running shards is first.

    Args:
        connection: in a transaction.
        limit: shards of one tenant at once; 0 sets none.
        most: how many to look at.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        "WITH busy AS (SELECT tenant_id, count(*) AS number FROM job_shards"
        " WHERE state IN ('placed', 'running') GROUP BY tenant_id),"
        " queue AS (SELECT j.execution_id, j.shard, j.queued_at, coalesce(b.number, 0) + row_number() OVER"
        "  (PARTITION BY j.tenant_id ORDER BY j.queued_at, j.execution_id, j.shard) AS turn"
        "  FROM job_shards AS j LEFT JOIN busy AS b USING (tenant_id)"
        "  WHERE j.state = 'waiting' AND j.queued_at <= now())"
        " SELECT q.execution_id, q.shard, v.definition FROM queue AS q JOIN job_runs AS r USING (execution_id)"
        " JOIN job_versions AS v USING (job_id, version)"
        " WHERE $1 = 0 OR q.turn <= $1 ORDER BY q.turn, q.queued_at, q.execution_id, q.shard LIMIT $2",
        *(limit, most),
    )
    return [Candidate(row["execution_id"], row["shard"], jobs.definition(row["definition"])) for row in rows]


async def place(connection: Connection, chosen: Iterable[tuple[str, int]]) -> list[Placed]:
    """Take shards that wait, each as a new attempt."""
    pairs = list(chosen)
    rows = await connection.fetch(
        "WITH placed AS (UPDATE job_shards AS j SET state = 'placed', attempt = attempt + 1, seen_at = now()"
        "  FROM unnest($1::text[], $2::int[]) AS k(execution_id, shard)"
        "  WHERE j.execution_id = k.execution_id AND j.shard = k.shard AND j.state = 'waiting' RETURNING j.*)"
        " SELECT p.execution_id, p.shard, p.attempt, p.tenant_id, r.job_id, r.version, r.parameters,"
        " v.definition, v.environment, (e.configuration ->> 'shards')::int AS shards"
        " FROM placed AS p JOIN job_runs AS r USING (execution_id) JOIN job_versions AS v USING (job_id, version)"
        " JOIN executions AS e USING (execution_id)",
        [execution_id for execution_id, _ in pairs],
        [shard for _, shard in pairs],
    )
    return [
        Placed(
            key=Key(row["execution_id"], row["shard"], row["attempt"]),
            tenant_id=row["tenant_id"],
            shards=row["shards"],
            run=JobRun(row["job_id"], row["version"], msgspec.json.decode(row["parameters"], type=dict[str, str])),
            definition=jobs.definition(row["definition"]),
            environment=row["environment"],
        )
        for row in rows
    ]


class Standing(StrEnum):
    """What a runner is to do: go on, end what is left soon, or stop at once."""

    GO_ON = "go_on"
    FINISH = "finish"
    STOP = "stop"


async def begin(connection: Connection, key: Key, node: str) -> bool:
    """Begin to run a shard that was placed; False where another attempt has it, or nobody is to run it any more."""
    row = await connection.fetchrow(
        "UPDATE job_shards AS j SET state = 'running', seen_at = now(), started_at = now(), node = $4, reason = NULL"
        " FROM executions AS e WHERE e.execution_id = j.execution_id"
        " AND j.execution_id = $1 AND j.shard = $2 AND j.attempt = $3 AND j.state = 'placed'"
        " AND e.status IN ('created', 'running') RETURNING 1",
        *(key.execution_id, key.shard, key.attempt, node),
    )
    return row is not None


async def beat(connection: Connection, key: Key) -> Standing:
    """A sign of life of a runner."""
    status = await connection.fetchval(
        "UPDATE job_shards AS j SET seen_at = now() FROM executions AS e WHERE e.execution_id = j.execution_id"
        " AND j.execution_id = $1 AND j.shard = $2 AND j.attempt = $3 AND j.state = 'running' RETURNING e.status",
        *(key.execution_id, key.shard, key.attempt),
    )
    if status == "completed":  # by its own last shard, whose command may still be about to end
        return Standing.FINISH
    return Standing.GO_ON if status in ("created", "running") else Standing.STOP


async def end(connection: Connection, key: Key, exit_code: int | None, reason: str | None) -> None:
    """A runner is through with a shard."""
    await connection.execute(
        "UPDATE job_shards SET state = 'ended', ended_at = now(), exit_code = $4, reason = $5"
        " WHERE execution_id = $1 AND shard = $2 AND attempt = $3 AND state = 'running'",
        *(key.execution_id, key.shard, key.attempt, exit_code, reason),
    )


class ShardRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a shard is run; of the attempt that is or was the last."""

    shard: int
    state: ShardState
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    node: str | None
    exit_code: int | None
    reason: str | None


async def of_execution(connection: Connection, execution_id: str) -> list[ShardRun]:
    """The shards of an execution; none if it runs no job."""
    rows = await connection.fetch(
        f"SELECT {', '.join(ShardRun.__struct_fields__)} FROM job_shards WHERE execution_id = $1 ORDER BY shard",  # noqa: S608 - our own columns
        execution_id,
    )
    return [ShardRun(**{**row, "state": ShardState(row["state"])}) for row in rows]
