"""The books of a run: what was acknowledged has to be stored, exactly once."""

from collections import Counter
from collections.abc import Sequence

import asyncpg
import msgspec
import uvloop

from benchmarks import client
from benchmarks.client import CREATED
from benchmarks.companions import alone
from benchmarks.load import Outcome, Plan, Target, submit_alone
from benchmarks.made_up import FIRST_NUMBER, TESTS, Form
from benchmarks.serving import Server

ALL_SECONDS = 300.0


class Books:
    """Submits to a server, and knows what it has to have stored since its tables were empty."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._form = Form(0)
        self._next = FIRST_NUMBER
        self._last: dict[Target, int] = {}
        self._stored = 0
        self._refused: Counter[int] = Counter()

    def submit(self, plan: Plan) -> Outcome:
        """Submit in a process of its own; the numbers of the plan are those that come next."""
        plan = msgspec.structs.replace(plan, first=self._next)
        outcome = submit_alone(self._server.address, plan)
        self._next = outcome.next
        self._last |= outcome.last
        self._stored += len(outcome.acknowledged)
        self._refused.update(outcome.refused)
        return outcome

    def start(self, amount: int, shards: int) -> list[str]:
        """Make executions, and submit to the first shard of each; returns their ids."""
        execution_ids = alone(ALL_SECONDS, client.create_executions, self._server.address, amount, shards)
        self._submit_once([(execution_id, 1) for execution_id in execution_ids])
        return execution_ids

    def cancel(self, execution_ids: Sequence[str]) -> None:
        """Call executions off."""
        alone(ALL_SECONDS, client.cancel_executions, self._server.address, execution_ids)

    def _submit_once(self, targets: Sequence[Target]) -> None:
        address = self._server.address
        requests = []
        for target in targets:
            requests.append(address.request("POST", "/api/results", self._form.body(*target, self._next)))
            self._last[target] = self._next
            self._next += 1
        alone(ALL_SECONDS, client.send_all, address, requests, CREATED)
        self._stored += len(targets)

    def forget_rows(self) -> None:
        """The tables of submissions and tests were emptied; executions and shards stay as they were."""
        self._stored = 0

    def check(self) -> dict[str, int]:
        """Compare with what the database has; every number has to be 0."""
        return uvloop.run(self._check())

    async def _check(self) -> dict[str, int]:
        connection = await asyncpg.connect(self._server.database_url)
        submissions = await connection.fetchval("SELECT count(*) FROM submissions")
        tests = await connection.fetchval("SELECT count(*) FROM tests")
        shards = await connection.fetch("SELECT execution_id, number, total FROM shards WHERE attempts > 0")
        sums = await connection.fetchval(
            "SELECT count(*) FROM executions AS e WHERE total <>"
            " (SELECT sum(total) FROM shards AS s WHERE s.execution_id = e.execution_id)"
        )
        await connection.close()
        stored = {(row["execution_id"], row["number"]): row["total"] for row in shards}
        wrong = sum(stored.get(target) != number for target, number in self._last.items())
        return {
            "submissions refused": self._refused.total(),
            "submissions acknowledged, and lost or doubled": abs(self._stored - submissions),
            "tests acknowledged, and lost or doubled": abs(TESTS * self._stored - tests),
            "shards without the totals acknowledged last": wrong,
            "executions whose totals are not those of their shards": sums,
        }
