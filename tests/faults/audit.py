"""Holds what arrived at endpoints against what happened, and against what the server's log says of it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from storage.postgres import DirectConnection
from tests.faults.endpoints import Entry
from tests.gateway.conftest import Api


@dataclass
class Listener:
    """A registered webhook.

    Attributes:
        courier: the number of the one it belongs to.
        events: those it wants.
        paths: where it is reached; several, if its URL is changed.
    """

    webhook_id: str
    courier: int
    events: frozenset[str]
    paths: list[str]

    @property
    def place(self) -> str:
        """Of the webhook in the API."""
        return f"/api/webhooks/{self.webhook_id}"


@dataclass
class Attempt:
    """One request as the log has it; `entry`: its number in the endpoints' books, None if it got no answer."""

    status_code: int | None
    entry: int | None

    @property
    def is_success(self) -> bool:
        """Whether the server knows that it was taken."""
        return self.status_code == 200


@dataclass
class Findings:
    """What was counted.

    Attributes:
        failures: requests that an endpoint answered with a failure, or not at all.
        repetitions: requests that came after the endpoint had taken the same message.
        unrecorded: requests of which the log knows nothing.
        after_success: attempts in the log that follow a success.
        recorded: the numbers of the requests that the log tells of.
    """

    events: int = 0
    deliveries: int = 0
    arrivals: int = 0
    failures: int = 0
    repetitions: int = 0
    unrecorded: int = 0
    after_success: int = 0
    recorded: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.events} events in {self.deliveries} deliveries, all delivered with {self.arrivals} requests,"
            f" {self.failures} of them made to fail; {self.repetitions} came after a success,"
            f" {self.unrecorded} were not recorded; {self.after_success} attempts recorded after a recorded success"
        )


class Audit:
    """Asserts what couriers promise about some executions, and counts what they do not promise.

    Args:
        api: speaks to the server.
        connection: to its database, as the owning role.
        executions: which; all have ended, and nothing of them is pending.
        since: before the first of them, as the API takes times.
    """

    def __init__(self, api: Api, connection: DirectConnection, executions: Collection[str], since: str) -> None:
        self._api = api
        self._connection = connection
        self._executions = frozenset(executions)
        self._since = since

    async def findings(self, listeners: Iterable[Listener], entries: Sequence[Entry]) -> Findings:
        """Compare.

        Args:
            listeners: the webhooks that were told of all that happened.
            entries: the endpoints' books.
        """
        assert all(entry.event is not None for entry in entries), "the published library verifies every request"
        histories = await asyncio.gather(*map(self._history, self._executions))
        happened = [event for history in histories for event in history]
        found = Findings(events=sum(event["event"] != "execution.created" for event in happened))
        for listener in listeners:
            came: dict[str, list[Entry]] = defaultdict(list)
            for entry in entries:
                if entry.arrival.path in listener.paths and entry.event["executionId"] in self._executions:
                    came[entry.arrival.message_id].append(entry)
            told = Counter(_text(same[0].event) for same in came.values())
            wanted = Counter(_text(event) for event in happened if event["event"] in listener.events)
            assert not wanted - told, "every event arrives"
            assert not told - wanted, "no event has more than one id, and none arrives that did not happen"
            await self._compare_with_log(listener, came, found)
        assert found.after_success == 0, "what is delivered is left alone"
        return found

    async def _compare_with_log(self, listener: Listener, came: Mapping[str, list[Entry]], found: Findings) -> None:
        log = await self._log(listener)
        deliveries = {row["messageId"]: row for row in log}
        assert len(deliveries) == len(log), "one delivery for each message"
        assert deliveries.keys() == came.keys()
        attempts = await self._attempts([row["deliveryId"] for row in log])
        for message_id, entries in came.items():
            row = deliveries[message_id]
            assert row["status"] == "delivered"
            assert len({entry.arrival.body for entry in entries}) == 1, "a message is the same bytes each time"
            made = attempts[row["deliveryId"]]
            assert row["attemptCount"] == len(made) <= len(entries)
            successes = [number for number, attempt in enumerate(made, start=1) if attempt.is_success]
            assert successes, "what is delivered was taken"
            found.after_success += len(made) - successes[0]
            answers = {entry.number: entry.status for entry in entries}
            recorded = {attempt.entry: attempt.status_code for attempt in made if attempt.entry is not None}
            assert recorded.items() <= answers.items(), "what is recorded is what was answered"
            found.recorded |= recorded.keys()
            taken_at = min(entry.answered_at for entry in entries if entry.is_success)
            found.deliveries += 1
            found.arrivals += len(entries)
            found.failures += sum(not entry.is_success for entry in entries)
            found.repetitions += sum(entry.arrival.at > taken_at for entry in entries)
            found.unrecorded += len(entries) - len(made)

    async def _history(self, execution_id: str) -> list[dict[str, Any]]:
        answer = await self._api.get(f"/api/executions/{execution_id}/events", params={"limit": "1000"})
        return [{name: value for name, value in event.items() if name != "seq"} for event in answer.json["events"]]

    async def _log(self, listener: Listener) -> list[dict[str, Any]]:
        rows = await listed(self._api, f"{listener.place}/deliveries", "deliveries", {"from": self._since})
        return [row for row in rows if row["executionId"] in self._executions]

    async def _attempts(self, delivery_ids: Sequence[str]) -> Mapping[str, list[Attempt]]:
        """The attempts of each delivery in order, read at once from where the log reads them one by one."""
        rows = await self._connection.fetch(
            "SELECT delivery_id, status_code, reply FROM webhook_attempts WHERE delivery_id = ANY($1)"
            " ORDER BY delivery_id, number",
            delivery_ids,
        )
        made: dict[str, list[Attempt]] = defaultdict(list)
        for row in rows:
            entry = None if row["status_code"] is None else int(row["reply"])
            made[row["delivery_id"]].append(Attempt(row["status_code"], entry))
        return made


async def listed(api: Api, path: str, name: str, params: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
    """All pages of a list; `name` is that of its rows."""
    rows: list[Any] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        page = (await api.get(path, params={"limit": "200", **params, **cursor})).json
        rows += page[name]
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else None
    return rows


def _text(event: Any) -> bytes:
    """The same for the same event."""
    return msgspec.json.encode(event, order="deterministic")
