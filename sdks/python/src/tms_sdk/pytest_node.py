"""What `pytest --tms` does in the pytest process: it tells a runner what happens, and runs what the runner says.

The runner is a process of its own (`tms_sdk.companion`), or `tms run`; it alone speaks to the server.
"""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

import pytest

from tms_sdk.attempts import Attempts
from tms_sdk.channel import Channel, Closed, Journal
from tms_sdk.collected import collect_record, manifest
from tms_sdk.companion import Companion
from tms_sdk.quarantine import Quarantine
from tms_sdk.records import Record

# Names the socket of the `tms run` that started us.
SOCKET_VARIABLE = "TMS_RUNNER_SOCKET"
_OPTION = "--tms"
_LOADER = "tms_sdk.pytest_loader"
_LOOK_SECONDS = 0.1


def take_part(config: pytest.Config) -> None:
    """Register the part that this process plays: a worker of pytest-xdist only selects its tests."""
    if hasattr(config, "workerinput"):
        _hide_from_children()
        config.pluginmanager.register(WorkerPart(config), "tms-worker")
        return
    if config.option.collectonly:
        return
    variables = _hide_from_children()
    config.pluginmanager.register(Node(config, variables), "tms-node")
    if SOCKET_VARIABLE in variables:
        _keep_outputs_apart(config)


def _hide_from_children() -> dict[str, str]:
    """Keep a pytest that a test starts from taking part as well; return the variables as they were."""
    names = (SOCKET_VARIABLE, "PYTEST_ADDOPTS")
    variables = {name: os.environ.pop(name) for name in names if name in os.environ}
    words = iter(shlex.split(variables.get("PYTEST_ADDOPTS", "")))
    kept = shlex.join(_not_ours(words))
    if kept:
        os.environ["PYTEST_ADDOPTS"] = kept
    return variables


def _not_ours(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        if word == "-p":
            name = next(words, "")
            if name != _LOADER:
                yield from (word, name)
        elif word.startswith(f"{_OPTION}-") and "=" not in word:
            next(words, "")
        elif word != _OPTION and not word.startswith(f"{_OPTION}-"):
            yield word


def _keep_outputs_apart(config: pytest.Config) -> None:
    """Give each shard of `tms run` its own `--basetemp` and `--junitxml`, which would overwrite each other."""
    shard = f"shard-{config.option.tms_shard}"
    if config.option.basetemp:
        config.option.basetemp = Path(config.option.basetemp) / shard
        config.option.basetemp.parent.mkdir(parents=True, exist_ok=True)
    xmlpath = getattr(config.option, "xmlpath", None)
    if xmlpath:
        path = Path(xmlpath)
        config.option.xmlpath = str(path.with_name(f"{path.stem}-{shard}{path.suffix}"))


class _Elsewhere(pytest.Item):
    """Stands for the next test while nobody knows it: all but the session's fixtures are torn down before it."""

    def runtest(self) -> None:
        """Is never run."""


class Node:
    """A pytest process that runs tests, or, with pytest-xdist, has its workers run them."""

    def __init__(self, config: pytest.Config, variables: dict[str, str]) -> None:
        self._config = config
        self._variables = variables
        self._socket = variables.get(SOCKET_VARIABLE)
        self._distributed = getattr(config.option, "dist", "no") != "no"
        self._attempts = Attempts(config.getoption("showcapture", "all"))
        self._quarantine = Quarantine(config, shows=self._distributed)
        self._companion: Companion | None = None
        self._leaving: Companion | None = None
        self._channel: Channel
        self._bell: Channel
        self._journal: Journal
        self._items: dict[str, pytest.Item] = {}
        self._again: dict[str, list[pytest.Item]] = {}
        self._ready: list[Record] = []
        self._last: pytest.Item | None = None
        self._lease_id = ""
        self._orders: list[dict[str, Any]] = []
        self._look_at = 0.0
        self._running = False
        self._interrupted = False
        self._ending = False
        self._words: list[str] = []

    # Beginning

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the runner, or start one."""
        if self._socket is None:
            self._companion = Companion.start(self._config)
            self._socket = self._companion.socket
        self._channel = Channel.connect(self._socket)
        # A signal may come in the middle of a line, so it has a way of its own.
        self._bell = Channel.connect(self._socket)
        path = f"{self._socket}.{os.getpid()}.journal"
        self._journal = Journal(path)
        self._channel.send({"hello": {"pid": os.getpid(), "distributed": self._distributed, "journal": path}})
        if self._distributed:
            self._config.pluginmanager.register(_Controller(self._attempts, self._journal), "tms-controller")
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda number, frame: self._terminate(session, number, frame))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        """Let the workers of pytest-xdist see our options too; each of them hides them from its own children."""
        os.environ.update(self._variables)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController, which need not be here
        """Tell a worker of pytest-xdist where the runner is."""
        node.workerinput["tms_socket"] = self._socket

    def _terminate(self, session: pytest.Session, _number: int, _frame: FrameType | None) -> None:
        """SIGTERM: the running test may end, unless it takes too long; then the runner sends it again."""
        if self._ending:
            return
        if self._interrupted or not self._running or self._distributed:
            self._interrupted = True
            raise session.Interrupted("SIGTERM")
        self._interrupted = True
        session.shouldstop = "SIGTERM"
        self._bell.send({"term": True})

    # Running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run what the runner says, in its order. pytest-xdist runs its tests itself."""
        if self._distributed:
            return None
        runnable = not session.testsfailed or self._config.option.continue_on_collection_errors
        if not (session.items or self._ready):
            return None
        ahead = runnable and self._companion is not None and self._companion.is_only
        told = manifest(self._config, session.items, self._ready, runnable=runnable, ahead=ahead)
        self._channel.send({"manifest": told})
        del told  # it is large, and would be looked through by Python's collector as long as tests run
        if not runnable:
            return None
        for item in session.items:
            # Few are collected twice. A list for each test would be five thousand more objects for Python's collector.
            if self._items.setdefault(item.nodeid, item) is not item:
                self._again.setdefault(item.nodeid, []).append(item)
        try:
            if ahead:
                self._quarantine.expect(self._learn)
                self._run(session, {"id": "", "tests": list(self._items), "last": True})
            while lease := self._next_lease(session):
                self._quarantine.add(lease["quarantined"])
                self._run(session, lease)
        except Closed:
            if self._channel.is_ours:
                self._run_unheard(session)
        self._tear_down(session, None)
        return True

    def _next_lease(self, session: pytest.Session) -> dict[str, Any] | None:
        self._channel.send({"want": True})
        while True:
            answer = self._channel.receive()
            match answer:
                case {"lease": dict(lease)}:
                    return lease
                case {"done": _}:
                    return None
                case _:
                    self._obey(session, answer)

    def _run(self, session: pytest.Session, lease: dict[str, Any]) -> None:
        nodeids = [nodeid for nodeid in lease["tests"] if nodeid in self._items]
        items = [item for nodeid in nodeids for item in (self._items[nodeid], *self._again.get(nodeid, ()))]
        self._lease_id = lease["id"]
        following: list[pytest.Item | None] = [*items[1:], None if lease["last"] else self._elsewhere(session)]
        for item, next_item in zip(items, following, strict=True) if items else ():
            self._last, nodeid = item, item.nodeid
            self._items.pop(nodeid, None)
            self._attempts.begin(nodeid)
            self._journal.start(nodeid)
            self._running = True
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            self._running = False
            if next_item is None or next_item.nodeid != nodeid:  # one that was collected twice goes on
                self._tell(nodeid)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            if (order := self._order()) is None:
                continue
            if order == {"abandon": self._lease_id}:
                self._tear_down(session, self._elsewhere(session))
                return
            self._obey(session, order)

    def _obey(self, session: pytest.Session, order: dict[str, Any]) -> None:
        match order:
            case {"stop": str(reason)}:
                raise session.Interrupted(reason)
            case {"refused": str(reason)}:
                raise pytest.UsageError(reason)
            case {"leased": dict(leased)}:
                self._hear(leased)
            case {"said": str(words)}:
                self._say(words)

    def _hear(self, leased: dict[str, Any]) -> None:
        """Take in the lease of what was begun ahead."""
        self._lease_id = leased["id"]
        self._quarantine.add(leased["quarantined"])

    def _learn(self) -> None:
        """A test has failed: wait until it is known which ones are in quarantine, or that nobody will tell."""
        try:
            order = self._channel.receive()
            while "said" in order:
                self._say(order["said"])
                order = self._channel.receive()
        except Closed:
            order = {}
        if "leased" in order:
            self._hear(order["leased"])
        else:
            self._quarantine.add([])
            self._orders.append(order)

    def _order(self) -> dict[str, Any] | None:
        """Return what the runner has said meanwhile; looked for now and then, since it costs a system call."""
        if self._orders:
            return self._orders.pop()
        now = monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + _LOOK_SECONDS
        return self._channel.arrived()

    def _elsewhere(self, session: pytest.Session) -> pytest.Item:
        item: pytest.Item = _Elsewhere.from_parent(session, name="(not known yet)")
        return item

    def _run_unheard(self, session: pytest.Session) -> None:
        """Run all that is left: a test that nobody reports is better than one that nobody ran."""
        self._say("tms: the runner beside pytest has died; the rest of the tests is run, and not reported")
        self._run(session, {"id": "", "tests": list(self._items), "last": True})

    def _tear_down(self, session: pytest.Session, next_item: pytest.Item | None) -> None:
        """Tear down what was kept for a test that does not come. An error is one of the last test, as in pytest."""
        last = self._last
        if last is None:
            return
        state = session._setupstate  # noqa: SLF001 - pytest has no other way to end a session's fixtures
        call = pytest.CallInfo.from_call(
            lambda: state.teardown_exact(next_item), when="teardown", reraise=(KeyboardInterrupt, pytest.exit.Exception)
        )
        if call.excinfo is not None:
            report = pytest.TestReport.from_item_and_call(last, call)
            # The test itself has been told already.
            report.nodeid = f"{last.nodeid} (teardown)"
            self._config.hook.pytest_runtest_logreport(report=report)

    # What happens

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that failed or was skipped as a whole, as pytest's own report does."""
        if (report.failed or report.skipped) and not self._distributed:
            self._ready.append(collect_record(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test."""
        self._attempts.add(report)

    def _tell(self, nodeid: str) -> None:
        ended = self._attempts.end(nodeid)
        if ended is None:
            return
        if ended["status"] == "passed" and "attempts" not in ended:
            self._journal.passed(ended["seconds"])
        else:
            self._journal.end(nodeid, ended)

    # Ending

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that somebody ended the run, as opposed to `pytest.exit` with a code or too many failures."""
        self._interrupted = self._interrupted or excinfo.type is KeyboardInterrupt

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell what is left, and wait until all of it is delivered or kept."""
        self._ending = True
        for nodeid in self._attempts.open():
            self._tell(nodeid)
        self._journal.close()
        finish = {"code": int(session.exitstatus), "interrupted": self._interrupted}
        self._channel.send({"finish": finish})
        with suppress(Closed):
            while "end" not in (answer := self._channel.receive()):
                if "said" in answer:
                    self._words.append(answer["said"])
            session.exitstatus = answer["end"]
        is_ours = self._channel.is_ours
        self._channel.close()
        self._bell.close()
        self._leaving = self._companion if is_ours else None

    def pytest_unconfigure(self) -> None:
        """Wait for the companion, which has had the time to end meanwhile."""
        if self._leaving is not None:
            self._leaving.wait()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what the user has to know."""
        self._quarantine.summarize(terminalreporter)
        for words in self._words:
            terminalreporter.write_line(words)

    def _say(self, words: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            sys.stderr.write(words + "\n")
        else:
            reporter.ensure_newline()
            reporter.write_line(words)


class _Controller:
    """The process that starts the workers of pytest-xdist: it hears when a test of theirs begins and ends."""

    def __init__(self, attempts: Attempts, journal: Journal) -> None:
        self._attempts = attempts
        self._journal = journal

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the test that begins, so that a process that dies in it leaves its name."""
        self._attempts.begin(nodeid)
        self._journal.start(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a test whose worker has died: nothing follows its report."""
        if str(report.when) == "???":
            self._tell(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell a test that has ended; one that is run again goes on."""
        if not self._attempts.goes_on(nodeid):
            self._tell(nodeid)

    def _tell(self, nodeid: str) -> None:
        ended = self._attempts.end(nodeid)
        if ended is not None:
            self._journal.end(nodeid, ended)


class WorkerPart:
    """A worker of pytest-xdist: keeps the tests of the shard, which it asks the runner for."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._quarantine = Quarantine(config)
        self._ready: list[Record] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that failed or was skipped as a whole."""
        if report.failed or report.skipped:
            self._ready.append(collect_record(report))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Iterator[None]:
        """Drop the tests of other shards, when everybody else has had a say."""
        yield
        channel = Channel.connect(self._config.workerinput["tms_socket"])  # type: ignore[attr-defined] # set by xdist
        channel.send({"select": manifest(self._config, items, self._ready, runnable=True, ahead=False)})
        try:
            match channel.receive():
                case {"lease": {"tests": list(tests), "quarantined": list(quarantined)}}:
                    chosen = set(tests)
                    self._quarantine.add(quarantined)
                    items[:] = [item for item in items if item.nodeid in chosen]
                case {"done": _}:
                    items[:] = []
                case {"stop": str(reason)} | {"refused": str(reason)}:
                    pytest.exit(reason, returncode=pytest.ExitCode.INTERRUPTED)
        except Closed:
            pytest.exit("The runner beside pytest has died", returncode=pytest.ExitCode.INTERNAL_ERROR)
        finally:
            channel.close()
