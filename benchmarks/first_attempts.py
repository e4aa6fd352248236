"""How soon an endpoint hears of an event while the server has nothing else to do."""

from collections.abc import Mapping

import asyncpg
import msgspec
import uvloop

from benchmarks import client, registry
from benchmarks.companions import alone
from benchmarks.figures import Figure, figure, median, percentile
from benchmarks.load import Outcome, Plan, submit_alone, targets_of
from benchmarks.outgoing import Outgoing
from benchmarks.receiver import Receiver
from benchmarks.serving import Server
from benchmarks.steps import Steps
from benchmarks.webhook_scale import Scale

RATE = 10.0
"""Events a second: each comes long after the one before was delivered."""

EXECUTIONS = 10
SHARDS = 8
WARM_SECONDS = 1.0
START_SECONDS = 30.0


def measure(server: Server, receiver: Receiver, outgoing: Outgoing, scale: Scale, steps: Steps) -> list[Figure]:
    """Results of shards are submitted, one at a time; one webhook is told of each."""
    webhooks = registry.register(server, [f"http://127.0.0.1:{receiver.port}/first"])
    targets = targets_of(alone(START_SECONDS, client.create_executions, server.address, EXECUTIONS, SHARDS), SHARDS)
    plan = Plan(targets=targets, connections=1, seconds=WARM_SECONDS, rate=RATE)
    with steps.step(f"{RATE:g} events/s, {scale.events} events"):
        warm = submit_alone(server.address, plan)
        outgoing.arrived(webhooks, len(warm.acknowledged))
        plan = msgspec.structs.replace(plan, seconds=scale.events / RATE, first=warm.next)
        outcome = submit_alone(server.address, plan)
        came = outgoing.arrived(webhooks, len(outcome.acknowledged))
    message_ids = uvloop.run(_message_ids(server.database_url))
    registry.remove(server, webhooks)
    came_at = {number: came.moments[one] for number, one in message_ids.items() if one in came.moments}
    return _figures(outcome, came_at)


def _figures(outcome: Outcome, came_at: Mapping[int, float]) -> list[Figure]:
    whole = [1000 * (moment - outcome.acknowledged[number][0]) for number, moment in came_at.items()]
    after = [1000 * (moment - outcome.acknowledged[number][1]) for number, moment in came_at.items()]
    return [
        figure("p50, request to first attempt, idle", median(whole), "ms", at_most=50),
        figure("p99, request to first attempt, idle", percentile(whole, 0.99), "ms"),
        figure("p50, answer to first attempt, idle", median(after), "ms"),
        figure("p99, answer to first attempt, idle", percentile(after, 0.99), "ms"),
    ]


async def _message_ids(database_url: str) -> dict[int, str]:
    """The message that tells of each submission, by the number that this has as its total."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT message_id, (body::json #>> '{data,results,total}')::bigint AS number FROM webhook_messages"
    )
    await connection.close()
    return {row["number"]: row["message_id"] for row in rows}
