"""One commit of an owner: many commands decided one after the other, then written together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from actors.lease_clock import HeldLease, LeaseClock
from actors.outbox import Outbox
from actors.progress import ProgressClock
from actors.subscribers import Subscribers
from orchestrator.executions import events as names
from orchestrator.executions import machine, payloads, streams
from orchestrator.executions.commands import (
    AnyCommand,
    Beat,
    Claim,
    Create,
    Expire,
    HandBack,
    Lapse,
    MakePlan,
    Receipt,
    Refusal,
    Reply,
    Stream,
    Submit,
    Tick,
)
from orchestrator.executions.decisions import NOTHING, Decision
from orchestrator.executions.events import AnyEvent, Completed, Created, Progressed
from orchestrator.executions.evolution import evolve
from orchestrator.executions.model import Execution, Shard, ShardStatus, Totals
from orchestrator.executions.plan import Deal
from orchestrator.jobs.model import JobRun
from orchestrator.webhooks.model import Subscription, WebhookStatus
from storage import commits, executions, plans, result_rows
from storage.bus import EventNews, TestsNews
from storage.commits import Changes, EventRow, ReceiptRow, Submission
from storage.postgres import Connection

_recorded = msgspec.json.Decoder(Receipt | Refusal)

_NOT_REMEMBERED = Expire | Tick | Lapse | Claim | Beat | HandBack
"""Commands of the owner's own, and those that may be carried out again: their answer follows from the state alone."""

# Long errors are cut in what webhooks and live readers get; the rows keep them whole.
ERROR_LENGTH = 2000


class Happening(msgspec.Struct, frozen=True):
    """An event, the state after it, and the webhooks that are told of it."""

    execution: Execution
    event: AnyEvent
    webhooks: Sequence[Subscription]


class Transaction:
    """Decides and writes a batch of commands inside a database transaction that its caller opened.

    Attributes:
        states: every execution that the batch touched, in its last state; to be kept once the transaction commits.
        told: those whose progress webhooks are told of.
        renewed: leases whose runners have shown that they live.
        events: how many of each name it writes.
    """

    def __init__(
        self,
        partition: int,
        known: Mapping[str, Execution],
        subscribers: Subscribers,
        progress: ProgressClock,
        leases: LeaseClock,
        now: datetime,
    ) -> None:
        self._partition = partition
        self._known = known
        self._subscribers = subscribers
        self._progress = progress
        self._leases = leases
        self._now = now
        self._before: dict[str, Execution] = {}
        self._replies: dict[str, tuple[bytes, Reply]] = {}
        self._happenings: list[Happening] = []
        self._submissions: list[Submission] = []
        self._receipts: list[ReceiptRow] = []
        self._event_news: list[EventNews] = []
        self._outbox = Outbox(now)
        self.states: dict[str, Execution] = {}
        self.told: set[str] = set()
        self.renewed: list[HeldLease] = []
        self._manifests: dict[str, bytes] = {}
        self.events: Counter[str] = Counter()
        self._runs: dict[str, JobRun] = {}

    async def carry_out(self, connection: Connection, batch: Sequence[AnyCommand], revision: int) -> list[Reply]:
        """Decide and write; the replies are true once the caller's transaction has committed.

        Args:
            connection: inside the transaction.
            batch: what is asked, in order.
            revision: of the webhooks registered, as the fence read it.
        """
        await self._read(connection, batch)
        await self._subscribers.read(connection, revision, {command.tenant_id for command in batch})
        replies = [self._answer(command) for command in batch]
        await commits.write_state(connection, self._partition, self._changes())
        await commits.write_log(connection, await self._event_rows(connection), self._receipts)
        await self._outbox.write(connection)
        return replies

    def news(self) -> tuple[list[EventNews], list[TestsNews]]:
        """What to tell live readers after the commit."""
        tests = [
            TestsNews(row.tenant_id, row.execution_id, row.submission_id, str(row.shard), row.first_frame, row.tests)
            for row in self._submissions
            if row.tests and row.first_frame is not None
        ]
        return self._event_news, tests

    @property
    def tests(self) -> int:
        """How many results of single tests it writes."""
        return sum(row.tests for row in self._submissions)

    def due(self) -> dict[int, set[str]]:
        """Which webhooks each courier has something new for after the commit."""
        return self._outbox.due

    async def _read(self, connection: Connection, batch: Sequence[AnyCommand]) -> None:
        """Executions that are not in memory, and receipts of commands that may be repetitions."""
        missing = {
            command.execution_id
            for command in batch
            if not isinstance(command, Create) and command.execution_id not in self._known
        }
        if missing:
            found = await executions.load(connection, list(missing))
            planned = [execution_id for execution_id, one in found.items() if one.deal is not None]
            if planned:
                for execution_id, plan in (await plans.load(connection, planned)).items():
                    found[execution_id] = msgspec.structs.replace(found[execution_id], plan=plan)
            self._before.update(found)
        repeats = [command.command_id for command in batch if command.may_repeat]
        if repeats:
            for command_id, (fingerprint, text) in (await commits.recorded(connection, repeats)).items():
                self._replies[command_id] = (fingerprint, _recorded.decode(text))

    def _answer(self, command: AnyCommand) -> Reply:
        if command.command_id in self._replies:
            fingerprint, reply = self._replies[command.command_id]
            return reply if fingerprint == command.fingerprint else _key_reused()
        execution = self._state(command.execution_id)
        decision = self._decide(execution, command)
        state = execution
        webhooks = 0
        for event in decision.events:
            state = evolve(state, event)
            told = self._listeners(state, event)
            webhooks += sum(one.status is WebhookStatus.ACTIVE for one in told)
            if told and isinstance(event, Progressed):
                self.told.add(command.execution_id)
            self._happenings.append(Happening(state, event, told))
        if state is not None and decision.events:
            self.states[command.execution_id] = state
        if decision.late or decision.events:
            self._take_payload(command, decision, state)
        if decision.renewed is not None:
            self.renewed.append(HeldLease(command.execution_id, decision.renewed))
        reply = decision.refusal or self._receipt(decision, state, webhooks)
        # What had no effect has none when it is carried out again; a key asks for the same answer all the same.
        has_effect = bool(decision.events) or decision.late
        if has_effect or (command.fingerprint and decision.refusal is None):
            self._remember(command, reply)
        return reply

    def _take_payload(self, command: AnyCommand, decision: Decision, state: Execution | None) -> None:
        """What a command brings besides what the rules know of it."""
        match command:
            case Submit():
                self._submissions.append(_submission(command, decision, state, self._now))
            case Stream():
                self._submissions.append(_piece(command, decision, state, self._now))
            case MakePlan():
                self._manifests[command.execution_id] = command.manifest
            case Create(run=JobRun() as run):
                self._runs[command.execution_id] = run

    def _decide(self, execution: Execution | None, command: AnyCommand) -> Decision:
        """As the machine decides.

        But a lapse is nothing where its runner was heard after it fell due, and a tick where nobody is told of it.
        """
        if isinstance(command, Lapse) and not self._leases.has_lapsed(HeldLease(command.execution_id, command.lease)):
            return NOTHING
        decision = machine.decide(execution, command, self._now)
        if isinstance(command, Tick) and execution is not None:
            event = next(iter(decision.events), None)
            if event is None or not self._listeners(execution, event):
                return NOTHING
        return decision

    def _listeners(self, execution: Execution, event: AnyEvent) -> Sequence[Subscription]:
        """The webhooks that are told of an event: of progress once in an interval, of anything else always."""
        listeners = self._subscribers.of(execution, event)
        if not listeners or not isinstance(event, Progressed):
            return listeners
        if execution.execution_id in self.told or not self._progress.is_due(execution.execution_id, self._now):
            return ()
        return listeners

    def _receipt(self, decision: Decision, state: Execution | None, webhooks: int) -> Receipt:
        if state is None:
            raise LookupError("a command was accepted without an execution")
        return Receipt(
            execution_id=state.execution_id,
            at=self._now,
            applied=bool(decision.events),
            status=state.status,
            reason=state.reason,
            submission_id=decision.submission_id,
            webhooks=webhooks,
            claimed=decision.claimed,
            order=decision.order,
            outcomes=decision.outcomes,
            returned=decision.returned,
            others=decision.others,
        )

    def _remember(self, command: AnyCommand, reply: Receipt | Refusal) -> None:
        if isinstance(command, _NOT_REMEMBERED):
            return
        self._replies[command.command_id] = (command.fingerprint, reply)
        text = msgspec.json.encode(reply).decode()
        row = (command.command_id, command.tenant_id, command.execution_id, command.fingerprint, text, self._now)
        self._receipts.append(ReceiptRow(*row))

    def _state(self, execution_id: str) -> Execution | None:
        return self.states.get(execution_id) or self._known.get(execution_id) or self._before.get(execution_id)

    def _changes(self) -> Changes:
        created = {one.execution.execution_id for one in self._happenings if isinstance(one.event, Created)}
        return Changes(
            created=[self.states[execution_id] for execution_id in created],
            changed=[
                (state, self._changed_shards(state))
                for execution_id, state in self.states.items()
                if execution_id not in created
            ],
            submissions=self._submissions,
            planned=[(self.states[execution_id], manifest) for execution_id, manifest in self._manifests.items()],
            managed=[(self.states[execution_id], run) for execution_id, run in self._runs.items()],
            dealt=[state for state in self.states.values() if state.deal is not self._former_deal(state.execution_id)],
        )

    def _former_deal(self, execution_id: str) -> Deal | None:
        before = self._known.get(execution_id) or self._before.get(execution_id)
        return None if before is None else before.deal

    def _changed_shards(self, state: Execution) -> list[Shard]:
        before = self._known.get(state.execution_id) or self._before[state.execution_id]
        return [new for old, new in zip(before.shards, state.shards, strict=True) if old is not new]

    async def _event_rows(self, connection: Connection) -> list[EventRow]:
        failed = await self._failed_tests(connection)
        rows = []
        for happening in self._happenings:
            execution, event = happening.execution, happening.event
            name = names.name(event)
            self.events[name] += 1
            listed = failed.get(execution.execution_id, ()) if isinstance(event, Completed) else ()
            text = msgspec.json.encode(payloads.data(execution, event, listed)).decode()
            rows.append(EventRow(execution.execution_id, execution.seq, execution.tenant_id, name, event.at, text))
            self._outbox.put(happening.webhooks, execution.execution_id, name, event.at, text)
            self._event_news.append(
                _news(execution, payloads.frame(execution.execution_id, execution.seq, name, event.at, text))
            )
        return rows

    async def _failed_tests(self, connection: Connection) -> dict[str, list[payloads.FailedTest]]:
        wanted = [
            one.execution.execution_id
            for one in self._happenings
            if isinstance(one.event, Completed) and one.execution.totals.failed
        ]
        if not wanted:
            return {}
        return await executions.failed_tests(connection, wanted, limit=payloads.FAILED_TESTS, error_length=ERROR_LENGTH)


def _news(execution: Execution, frame: bytes) -> EventNews:
    return EventNews(
        execution.tenant_id,
        execution.execution_id,
        execution.seq,
        execution.test_suite,
        execution.environment,
        execution.status,
        frame,
    )


def _key_reused() -> Refusal:
    return Refusal(
        code="IDEMPOTENCY_KEY_REUSED",
        message="This Idempotency-Key was used for another request; a new request needs a new key",
    )


def _submission(command: Submit, decision: Decision, state: Execution | None, now: datetime) -> Submission:
    attempt = None
    if state is not None and not decision.late:
        attempt = state.shards[int(command.shard_id) - 1].attempts
    tests, totals, rows = command.tests, command.totals, command.rows
    if decision.outcomes:
        tests, totals, rows = _counting(command.letters, decision.outcomes, rows)
    return Submission(
        submission_id=command.submission_id,
        tenant_id=command.tenant_id,
        execution_id=command.execution_id,
        shard=int(command.shard_id),
        attempt=attempt,
        provider=command.provider,
        status=command.status,
        totals=totals,
        tests=tests,
        first_frame=decision.first_frame,
        artifacts=command.artifacts,
        metadata=command.metadata,
        digest=command.digest,
        reported_at=command.reported_at,
        recorded_at=now,
        root_id=(not decision.late and decision.submission_id) or command.submission_id,
        rows=rows,
    )


def _piece(command: Stream, decision: Decision, state: Execution | None, now: datetime) -> Submission:
    """What was streamed: the tests that count, or all of them where they came too late to."""
    shard = None if state is None or decision.late else state.shards[int(command.shard_id) - 1]
    tests, totals, rows = _counting(command.tests, decision.outcomes, command.rows)
    return Submission(
        submission_id=command.submission_id,
        tenant_id=command.tenant_id,
        execution_id=command.execution_id,
        shard=int(command.shard_id),
        attempt=None if shard is None else shard.attempts,
        provider=None,
        status=ShardStatus.COMPLETED,
        totals=totals,
        tests=tests,
        first_frame=decision.first_frame,
        artifacts=None,
        metadata=None,
        digest=command.digest,
        reported_at=command.reported_at,
        recorded_at=now,
        root_id=(shard is not None and shard.submission_id) or command.submission_id,
        rows=rows,
    )


def _counting(letters: str, outcomes: str, rows: bytes) -> tuple[int, Totals, bytes]:
    """Of tests, those that are stored as they were taken: how many, their totals, their rows."""
    kept = [number for number, outcome in enumerate(outcomes) if outcome in _STORED]
    totals = streams.count("".join(letters[number] for number in kept))
    return len(kept), totals, rows if len(kept) == len(letters) else result_rows.chosen(rows, kept)


_STORED = frozenset({streams.Taken.ACCEPTED.letter, streams.Taken.LATE.letter})
