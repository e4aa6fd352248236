"""Speaks to the server for one pytest process: what it runs, what it reports, how it ends."""

import socket
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tms_sdk import differs
from tms_sdk.assignment import Assignment
from tms_sdk.channel import Channel
from tms_sdk.errors import ApiError, TMSError, is_away
from tms_sdk.host import Host
from tms_sdk.inbox import Inbox, turn_away
from tms_sdk.manifest import Lease, Manifest
from tms_sdk.records import Record, timestamp
from tms_sdk.retry import Patience, Retry
from tms_sdk.share import Node
from tms_sdk.spool import Spool
from tms_sdk.suite import Suite
from tms_sdk.verdict import Death, ExitCode, Verdict, judge
from tms_sdk.wire import Plan

# One request is not worth a long wait: the runner asks again by itself, and looks at other things in between.
HASTE = Retry(attempts=2, first_delay=0.2, total=15.0)

_REPORT_SECONDS = 0.5
# Signs of life in one lease; the contract asks for three at least.
_BEATS = 4
# How long a test may go on after SIGTERM, or after the server's word to stop.
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
# While it waits for pytest's end, a run has nothing else to do.
_END_SECONDS = 0.01
_LAST_WORDS_SECONDS = 1.0
_ANOTHER = (
    "tms: each shard is one pytest process, and this is another one; let the command of tms run start pytest once"
)


class Runner:
    """One pytest process's way to the server; `work` does all of it, in one thread.

    Attributes:
        verdict: how the process ended; None before that.
        refused: whether the server does not want some of the results.
    """

    def __init__(
        self, inbox: Inbox, assignment: Assignment, host: Host, node: Node, spool: Spool, patience: Patience
    ) -> None:
        self.verdict: Verdict | None = None
        self.refused = False
        self._inbox = inbox
        self._assignment = assignment
        self._host = host
        self._node = node
        self._spool = spool
        self._began: datetime | None = None
        self._pytest: Channel | None = None
        self._pid = 0
        self._distributed = False
        self._suite = Suite(self._add)
        self._is_only = self._falls_short = self._turned_away = False
        self._asking: list[Channel] = []
        self._answer: dict[str, Any] | None = None
        self._patience = patience
        self._ahead = self._alone = self._is_back = False
        self._is_nearly_through = False
        self._more: list[str] = []
        self._look_at = self._ask_at = self._report_at = self._beat_at = 0.0
        self._interrupt_at: float | None = None
        self._finish: dict[str, Any] | None = None

    def work(self) -> None:
        """Serve the pytest process until it has ended, and all it told is delivered or kept."""
        while not self._is_over():
            arrived = self._inbox.get(_LOOK_SECONDS)
            if arrived is not None:
                self._take(*arrived)
            now = time.monotonic()
            if now >= self._look_at:
                self._look_at = now + _LOOK_SECONDS
                self._look()
            if not self._is_over():
                self._tick(now)
        self._conclude(self._finish or {})

    def _is_over(self) -> bool:
        return self._finish is not None

    def _look(self) -> None:
        """Look whether the process still lives; if not, take in its last words."""
        if self._is_over() or self._host.death() is None:
            return
        while not self._is_over() and (arrived := self._inbox.get(_LAST_WORDS_SECONDS)) is not None:
            self._take(*arrived)
        self._finish = self._finish or {}

    # What pytest tells

    def _take(self, channel: Channel, line: dict[str, Any]) -> None:
        match line:
            case {"passed": float(seconds)}:
                self._suite.succeed(seconds)
            case {"test": dict(test)}:
                self._suite.end(test)
            case {"start": str(test_id)}:
                self._suite.begin(test_id)
                self._host.tell(line)
                self._look_ahead(test_id)
            case {"want": _}:
                self._asking.append(channel)
                self._answer = None
            case {"nudge": _}:
                self._ask_at = 0.0
            case {"term": _}:
                self._interrupt_at = time.monotonic() + _GRACE_SECONDS
            case {"finish": dict(finish)}:
                self._finish = finish
            case {"gone": _}:
                self._finish = {} if channel is self._pytest else None
            case _:
                self._take_beginning(channel, line)

    def _take_beginning(self, channel: Channel, line: dict[str, Any]) -> None:
        match line:
            case {"hello": {"pid": int(pid), "distributed": bool(distributed)}}:
                self._pytest, self._pid, self._distributed = channel, pid, distributed
                if distributed:
                    if self._assignment.is_queue:
                        self._say("with pytest-xdist, shards are fixed beforehand: workers cannot get more later")
                    self._assignment.stay()
            case {"manifest": dict(told)}:
                self._take_manifest(told)
                if not told["runnable"]:
                    self._asking.append(channel)  # otherwise it asks by itself
            case {"select": dict(told)}:
                # Workers of pytest-xdist: all collect the same, and all get the same answer.
                self._take_manifest(told)
                self._asking.append(channel)

    def _take_manifest(self, told: dict[str, Any]) -> None:
        if self._suite.manifest is None:
            manifest = self._suite.manifest = Manifest.read(told)
            files = {test["file"] for test in manifest.tests.values()}
            self._host.tell({"collected": len(manifest.tests), "files": len(files)})
            if told["ahead"]:
                self._is_only = self._ahead = True
                self._begin(self._suite.settle(manifest.tests))

    def _add(self, made: Record) -> None:
        self._assignment.add(made, leased=not self._alone)
        self._host.tell({"record": made})

    # The server

    def _tick(self, now: float) -> None:
        if self._interrupt_at is not None and now >= self._interrupt_at:
            self._interrupt_at = None
            self._host.interrupt(self._pid)
        manifest = self._suite.manifest
        if self._asking and manifest is not None and now >= self._ask_at:
            self._answer_all(manifest, now)
        elif not self._asking and now >= self._report_at:
            self._report(now)

    def _report(self, now: float) -> None:
        """Report, give a sign of life, or look whether the server is back."""
        assignment, lease = self._assignment, self._assignment.lease
        self._report_at = now + _REPORT_SECONDS
        try:
            if self._ahead and self._suite.manifest is not None:
                self._catch_up(self._suite.manifest, now)
            elif self._alone:
                if not (self._distributed or self._is_back):
                    self._come_back()
            elif self._is_nearly_through and self._suite.manifest is not None:
                self._is_nearly_through = False
                self._more = assignment.claim_ahead(self._suite.manifest)
                self._tell_strangers()
                self._hear(now)
            elif len(assignment.outbox):
                assignment.deliver()
                self._hear(now)
            elif lease is not None and now >= self._beat_at:
                assignment.heartbeat()
                self._hear(now)
        except TMSError as error:
            (self._fall_behind if self._ahead else self._meet)(error, now)
            self._report_at = now + max(_REPORT_SECONDS, self._patience.delay())
        if assignment.reason is not None:
            self._stop(assignment.reason, now)
        elif lease is not None and assignment.lease is None and not self._alone:
            self._send({"abandon": lease.lease_id})

    def _hear(self, now: float) -> None:
        """Note that the server has answered, which renews the lease."""
        self._patience.end()
        if self._assignment.lease is not None:
            self._beat_at = now + self._assignment.lease.seconds / _BEATS

    def _meet(self, error: TMSError, now: float) -> None:
        """Go on in spite of an error: stop where the execution has ended, keep what waits where the server is away."""
        if self._is_away(error):
            self._patience.fail(now)
            self._keep()
        elif isinstance(error, ApiError) and error.status == HTTPStatus.CONFLICT:
            self._assignment.cancel(error.message)
        else:
            self._refuse(str(error))

    def _is_away(self, error: TMSError) -> bool:
        return is_away(error, has_answered=self._assignment.plan is not None)

    def _refuse(self, words: str) -> None:
        self.refused = True
        self._say(f"the server refuses: {words}")

    def _keep(self) -> None:
        try:
            self._assignment.outbox.keep()
        except OSError as error:
            self._say(f"results cannot be kept in {self._spool.path}: {error.strerror}")

    def _stop(self, reason: str, now: float) -> None:
        """Tell pytest to stop, and make sure that it does."""
        if self._answer is None or "stop" not in self._answer:
            self._answer = {"stop": reason}
            self._interrupt_at = now + _GRACE_SECONDS
            self._host.tell({"stopped": reason})
            if not self._asking:
                self._send(self._answer)

    # Leases

    def _look_ahead(self, test_id: str) -> None:
        """Ask for more at once where the lease will be worked off soon, so that pytest need not wait for it."""
        lease = self._assignment.lease
        is_usual = self._assignment.is_queue and not (self._distributed or self._ahead or self._alone)
        if is_usual and not self._more and lease is not None and test_id in lease.tail:
            self._is_nearly_through = True
            self._report_at = 0.0

    def _answer_all(self, manifest: Manifest, now: float) -> None:
        """Tell who asks what to run; the workers of pytest-xdist all the same."""
        if self._answer is None:
            try:
                self._answer = self._ask(manifest, now)
            except TMSError as error:
                self._answer = self._answer_without(error, now)
        if self._assignment.reason is not None:
            self._stop(self._assignment.reason, now)
        if self._answer is not None:
            for channel in self._asking:
                channel.send(self._answer)
            self._asking = []
            if "done" in self._answer:
                self._report_at = now  # while pytest takes down what it has set up

    def _ask(self, manifest: Manifest, now: float) -> dict[str, Any] | None:
        """Ask the server what to run; None where it has nothing yet."""
        plan = self._enter(manifest)
        if not manifest.runnable:
            if not plan.get("differs"):  # otherwise others can run what this process cannot even collect
                self._assignment.claim(manifest)
                if self._assignment.lease is not None:
                    self._suite.settle(self._assignment.lease.tests)
            return {"done": True}
        more, self._more, self._is_nearly_through = self._more, [], False
        lease = self._assignment.lease
        if lease is not None and more and not self._is_back and (tests := self._suite.settle(more)):
            return self._lease(tests, lease)
        while not self._has_run_all(manifest):
            if not self._is_back and self._must_wait(manifest, now):
                return None
            self._ahead = self._alone = self._is_back = False
            lease = self._assignment.lease
            if lease is None:
                return {"done": True}
            self._tell_strangers()
            if tests := self._suite.settle(lease.tests):
                return self._lease(tests, lease)
        return {"done": True}

    def _must_wait(self, manifest: Manifest, now: float) -> bool:
        """Claim, and tell whether there is nothing yet."""
        claim = self._assignment.claim(manifest)
        self._hear(now)
        if claim["state"] == "done":
            self._host.tell({"done": True})
        if claim["state"] == "wait":
            self._ask_at = now + float(claim["retryAfter"] or 1.0)
            return True
        return False

    def _tell_strangers(self) -> None:
        """Report the tests of the lease that this process cannot run, because it has not collected them."""
        for name in self._assignment.lease.strangers if self._assignment.lease is not None else ():
            self._falls_short = True
            self._add(differs.not_run(name, socket.gethostname()))

    def _has_run_all(self, manifest: Manifest) -> bool:
        """Tell whether nothing is left to ask for, since nobody else has a part in the execution."""
        is_counted = self._assignment.lease is not None and not self._assignment.outbox.has_late
        return self._is_only and is_counted and not self._suite.left(manifest.tests)

    def _lease(self, tests: list[str], lease: Lease | None) -> dict[str, Any]:
        """Have tests run, under a lease or without one."""
        self._begin(tests)
        return {"lease": {**self._terms(lease), "tests": tests, "last": lease is None or lease.last}}

    def _terms(self, lease: Lease | None) -> dict[str, Any]:
        lease_id, quarantined = ("", []) if lease is None else (lease.lease_id, lease.quarantined)
        return {"id": lease_id, "quarantined": self._quarantined(quarantined)}

    def _begin(self, tests: list[str]) -> None:
        self._began = self._began or datetime.now(UTC)
        self._host.tell({"lease": len(tests)})

    def _quarantined(self, leased: list[str]) -> list[str]:
        """Return the tests whose failures do not count: the lease's and the plan's, which some run without a lease."""
        plan, manifest = self._assignment.plan, self._suite.manifest
        return leased if plan is None or manifest is None else [*leased, *manifest.ids(plan.get("quarantined", []))]

    def _catch_up(self, manifest: Manifest, now: float) -> None:
        """Get the lease for what is being run, and tell pytest what it does not know yet."""
        self._enter(manifest)
        self._assignment.claim(manifest)
        self._ahead = False
        self._hear(now)
        self._send_leased(self._assignment.lease)

    def _fall_behind(self, error: TMSError, now: float) -> None:
        """Decide what becomes of a process that has begun without a lease, and does not get one."""
        if not self._is_away(error):
            self._ahead = False
            self._answer = self._turn_away(error)
            if self._answer is not None:
                self._send(self._answer)
            return
        self._meet(error, now)
        if self._patience.is_over(now):
            self._be_alone(error)
            self._send_leased(None)

    def _send_leased(self, lease: Lease | None) -> None:
        self._send({"leased": self._terms(lease)})

    def _enter(self, manifest: Manifest) -> Plan:
        """Agree on a plan; what this process does not have in common with it is told once."""
        is_new = self._assignment.plan is None
        plan = self._assignment.enter(self._host.find, manifest)
        if is_new and manifest.runnable:
            self._compare(plan, len(manifest.tests))
        return plan

    def _compare(self, plan: Plan, collected: int) -> None:
        found = plan.get("differs")
        if self._assignment.is_rerun:
            self._say(f"{plan['tests']} of {collected} tests are run again; the others are left out")
        elif found and found["unexpected"]:
            self._falls_short = True
            self._say(differs.unplanned(found))
        if found and found["missing"]:
            self._say(differs.uncollected(found))

    # Without the server

    def _answer_without(self, error: TMSError, now: float) -> dict[str, Any] | None:
        """Decide what to do without an answer: wait a while, then run an own share; None while waiting."""
        if not self._is_away(error):
            return self._turn_away(error)
        self._patience.fail(now)
        self._keep()
        if self._alone:
            return {"done": True}
        if not self._patience.is_over(now):
            self._ask_at = now + self._patience.delay()
            return None
        rest = self._be_alone(error)
        return self._lease(self._suite.settle(rest), None)

    def _turn_away(self, error: TMSError) -> dict[str, Any] | None:
        """Answer for a server that does not want this process; None where it is only that the execution has ended."""
        has_plan = self._assignment.plan is not None
        if has_plan and isinstance(error, ApiError) and error.status == HTTPStatus.CONFLICT:
            self._assignment.cancel(error.message)
            return None
        self.refused = self._turned_away = True
        return {"refused": str(error)}

    def _be_alone(self, error: TMSError) -> list[str]:
        """Choose what this node runs by itself: of all that it does not know to be done, its share."""
        self._ahead, self._alone, self._is_back = False, True, False
        rest = self._suite.share(self._node)
        share = f", share {self._node.index + 1} of {self._node.total}" if self._node.total > 1 else ""
        reason = str(error).splitlines()[0]
        self._say(f"the server is away; {len(rest)} tests are run without it{share}. {reason}")
        return rest

    def _come_back(self) -> None:
        """Look whether the server is back; if so, pytest asks again, and gets what the server has for it."""
        if self._suite.manifest is not None:
            self._enter(self._suite.manifest)
            self._assignment.claim(self._suite.manifest)
            self._patience.end()
            self._is_back = True
            self._send({"abandon": ""})

    def _say(self, words: str) -> None:
        """Tell the user, who does not see the output of a pytest process that `tms run` has started."""
        line = {"said": f"tms: {words}"}
        if self._host.outlives_pytest:
            self._host.tell(line)
        else:
            self._send(line)

    def _send(self, line: dict[str, Any]) -> None:
        if self._pytest is not None:
            self._pytest.send(line)

    # The end

    def _conclude(self, finish: dict[str, Any]) -> None:
        """Deliver all that was told, and end the shard as pytest's end wants it."""
        code = self._own_code(finish.get("code"))
        death = Death(code)
        if self._host.outlives_pytest:
            self._settle(self._assignment.deliver)
            self._send({"end": code})
            while (seen := self._host.death()) is None:
                self._refuse_another()
            death = seen
        self._suite.told.finished = bool(finish)
        verdict = self.verdict = judge(self._assignment.seat or "?", self._suite.told, death)
        interrupted = bool(finish.get("interrupted"))
        has_had_tests = self._assignment.has_had_tests or self._is_only
        if not interrupted and self._assignment.reason is None and has_had_tests:
            for made in verdict.tests:
                self._add(made)
        end = {
            "key": str(uuid.uuid4()),
            "status": verdict.status,
            "provider": self._host.provider,
            "metadata": self._metadata(verdict),
        }
        if not self._settle(lambda: self._part(verdict, end, interrupted=interrupted)) and not interrupted:
            self._spool_end(end)
        self._tell_tally()
        self._spool.close(keep=bool(len(self._assignment.outbox)))
        if not self._host.outlives_pytest:
            self._send({"end": self._last_code(code)})

    def _refuse_another(self) -> None:
        """Turn away a second pytest, which the user's command has started after the one that has ended."""
        arrived = self._inbox.get(_END_SECONDS)
        if arrived is not None:
            turn_away(*arrived, _ANOTHER)

    def _own_code(self, code: int | None) -> int | None:
        """Return what pytest's exit code comes to for what this process had to do."""
        if self._suite.manifest is None or self._turned_away:
            return code
        if code == ExitCode.NO_TESTS and not self._suite.has_run:
            code = ExitCode.OK  # others had all of it
        if code == ExitCode.OK and (left := self._suite.left(self._owed(self._suite.manifest))):
            self._falls_short = True
            self._say(f"{len(left)} tests were not run, though pytest ended well: {left[0]}")
        return ExitCode.TESTS_FAILED if code == ExitCode.OK and self._falls_short else code

    def _owed(self, manifest: Manifest) -> Iterable[str]:
        """Return the tests that nobody but this process will run, as far as it knows."""
        lease = self._assignment.lease
        if self._is_only:
            return manifest.tests
        return lease.tests if lease is not None and not self._alone else []

    def _last_code(self, code: int | None) -> int | None:
        """Return the exit code; a node whose tests are all well has the execution's verdict instead, once it is there.

        So whoever ends the execution tells of it, and a node that is started again cannot turn a failed build green.
        Where nobody else has a part in it, both are the same.
        """
        assignment = self._assignment
        is_told = assignment.plan is not None and assignment.reason is None and not len(assignment.outbox)
        if code != ExitCode.OK or not is_told or self._is_only:
            return code
        try:
            where = assignment.failed_at()
        except TMSError as error:
            self._say(f"how {assignment.execution_id} ended is not known: {error}")
            return code
        if where is None:
            return code
        self._say(f"{assignment.execution_id} has failed, by other nodes' failures or missing tests: {where}")
        return ExitCode.TESTS_FAILED

    def _settle(self, work: Callable[[], None]) -> bool:
        """Do work that needs the server; tell whether it was done."""
        try:
            work()
        except TMSError as error:
            self._meet(error, time.monotonic())
            return not self._is_away(error)
        return True

    def _part(self, verdict: Verdict, end: dict[str, Any], *, interrupted: bool) -> None:
        """Report what is left, and leave: close the shard, or leave it to others."""
        assignment, manifest = self._assignment, self._suite.manifest
        if self._turned_away and assignment.plan is None:
            self._host.abort()
            return
        has_begun = assignment.plan is not None or self._suite.has_run or (self._is_only and not interrupted)
        if manifest is None or assignment.reason is not None or not has_begun:
            return
        if self._alone or self._ahead:
            self._reconcile(manifest)
        assignment.deliver()
        if interrupted:
            assignment.hand_back()
            self._host.abort()
            return
        fails = verdict.status == "error"
        if fails and assignment.lease is not None and self._suite.left(assignment.lease.tests):
            assignment.hand_back()
        elif self._distributed and assignment.lease is not None:
            assignment.claim(manifest)  # there is no more; so the lease is worked off
        is_own = self._host.is_turn(fails=fails)
        if is_own or (fails and assignment.is_deserted()):
            assignment.take_back(manifest)
        if fails and not is_own:
            end["status"] = "failed"  # an error would end the execution for all its runners
        assignment.close(**end)

    def _reconcile(self, manifest: Manifest) -> None:
        """Report what was run without the server under leases that it gives now, as long as it gives such."""
        self._enter(manifest)
        while True:
            self._assignment.claim(manifest)
            lease = self._assignment.lease
            if lease is None or lease.strangers or self._suite.settle(lease.tests):
                break
        self._assignment.deliver()
        self._assignment.hand_back()
        self._ahead = self._alone = False

    def _metadata(self, verdict: Verdict) -> dict[str, Any]:
        ended = datetime.now(UTC)
        began = self._began or ended  # collecting is no part of a shard, which may not have existed then
        return {
            "startTime": timestamp(began),
            "endTime": timestamp(ended),
            "duration": round((ended - began).total_seconds() * 1000),
            "exitCode": verdict.exit_code,
        }

    def _spool_end(self, end: dict[str, Any]) -> None:
        if len(self._assignment.outbox):
            self._keep()
            self._spool.write({"close": end})

    def _tell_tally(self) -> None:
        outbox = self._assignment.outbox
        if outbox.tally.late:
            self._say(f"{outbox.tally.late} results came late: others had got these tests")
        for reason in outbox.tally.refused:
            self.refused = True
            self._say(f"a result is not on the server: {reason}")
        if len(outbox) and self._spool.is_open:
            self._say(f"{len(outbox)} results wait in {self._spool.path.parent}: `tms send` delivers them")
