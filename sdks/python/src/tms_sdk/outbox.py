"""Results on their way to the server, in the order in which the tests ended."""

import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError, is_away
from tms_sdk.manifest import Name
from tms_sdk.records import Record
from tms_sdk.spool import Batch, Spool
from tms_sdk.wire import ClaimedTest, Order, Streamed

# The server takes no more tests in a request; errors make some large.
_BATCH_TESTS = 1_000
_BATCH_CHARACTERS = 1_000_000


@dataclass
class Tally:
    """What the server said of the results: how many it counted, and why it took some not at all."""

    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, batch: Batch, answer: Streamed) -> None:
        """Take in one answer."""
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]
        self.late += answer["late"]
        for test, told in zip(batch.tests, answer["records"], strict=False):
            if told.get("outcome") == "rejected":
                self.refused.append(f"{test['file']}::{test['title']}: {told.get('reason') or 'no reason given'}")


class Outbox:
    """What the server has not taken yet.

    Batches are small and are sent one after another, from one thread; the file on disk is used only while the server
    is away. All results fit into memory: a suite's own reports do as well.

    Attributes:
        tally: what the server said so far.
    """

    def __init__(self, client: TMSClient, runner_id: str, spool: Spool) -> None:
        self.tally = Tally()
        self._client = client
        self._runner_id = runner_id
        self._spool = spool
        self._batches: deque[Batch] = deque()
        self._characters = 0
        self._late: dict[Name, Record] = {}

    def __len__(self) -> int:
        """How many results wait."""
        return sum(len(batch.tests) for batch in self._batches)

    def add(self, record: Record, lease_id: str | None, shard_id: str | None) -> None:
        """Take a result. Without a lease it waits for one."""
        last = self._batches[-1] if self._batches else None
        if (
            last is None
            or last.sealed
            or last.lease_id != lease_id
            or len(last.tests) >= _BATCH_TESTS
            or self._characters > _BATCH_CHARACTERS
        ):
            last = Batch(str(uuid.uuid4()), lease_id, shard_id, [])
            self._batches.append(last)
            self._characters = 0
        last.tests.append(record)
        self._characters += len(record.get("error", ""))

    def put(self, batches: list[Batch]) -> None:
        """Take batches of a former run."""
        self._batches.extend(batches)

    @property
    def has_late(self) -> bool:
        """Whether some came too late for their lease, and have not been reported under another one."""
        return bool(self._late)

    def has_unleased(self) -> bool:
        """Tell whether results wait for a lease."""
        return any(batch.lease_id is None for batch in self._batches)

    def assign(self, lease_id: str, shard_id: str) -> None:
        """Report under this lease what has none."""
        for batch in self._batches:
            if batch.lease_id is None:
                batch.lease_id, batch.shard_id = lease_id, shard_id

    def repeat(self, tests: Iterable[ClaimedTest], lease_id: str, shard_id: str) -> None:
        """Report what came too late for its lease, now that the same tests are this runner's again."""
        for test in tests:
            record = self._late.pop((test["file"], test["title"]), None)
            if record is not None:
                self.tally.late -= 1
                self.add(record, lease_id, shard_id)

    def send(self, execution_id: str) -> dict[str, Order]:
        """Send what has a lease; return the last order for each. What the server refuses is left out, and tallied.

        Raises:
            Unreachable: the server is away; what it has not taken stays.
            ApiError: it is in trouble, or the execution has ended.
        """
        orders: dict[str, Order] = {}
        for batch in [batch for batch in self._batches if batch.lease_id is not None]:
            batch.sealed = True
            try:
                orders[batch.lease_id or ""] = self._send(execution_id, batch)["order"]
            except ApiError as error:
                if is_away(error, has_answered=True) or error.status == HTTPStatus.CONFLICT:
                    raise
                self.tally.refused.append(str(error))
                self._batches.remove(batch)  # and it stays on disk where it is there
            else:
                self._drop(batch)
        return orders

    def _send(self, execution_id: str, batch: Batch) -> Streamed:
        lease_id, shard_id = batch.lease_id or "", batch.shard_id or ""
        # The same key means the same request, and a batch that had no lease may have been sent under another one.
        key = f"{batch.key}.{lease_id}"
        answer = self._client.stream_tests(execution_id, shard_id, lease_id, self._runner_id, batch.tests, key=key)
        self.tally.add(batch, answer)
        for test, told in zip(batch.tests, answer["records"], strict=False):
            if told.get("outcome") == "late":
                self._late[test["file"], test["title"]] = test
        return answer

    def keep(self) -> None:
        """Put on disk what is not there yet.

        Raises:
            OSError: it cannot be written.
        """
        for batch in self._batches:
            if not batch.kept:
                batch.sealed = batch.kept = True
                self._spool.write(batch.line())

    def _drop(self, batch: Batch) -> None:
        self._batches.remove(batch)
        if batch.kept:
            self._spool.write({"sent": batch.key})
