"""The pytest plugin that `tms run` loads into the pytest processes it starts. Without its orders it does nothing.

It leaves the user's arguments, ini files and conftests alone: files of other shards are not collected, and each result
goes into the spool file as it comes. The runner that started the process sends the results on.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tms_sdk.attempts import Attempts
from tms_sdk.records import Record, record
from tms_sdk.spool import COLLECT_OPTIONS, FIRST_SHARD, ORDERS_VARIABLE, RUN_OPTIONS, Orders, SpoolWriter

# pytest's own marks steer a test; they say nothing about it.
_STEERING_MARKS = frozenset({"filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail"})


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the orders and take the part they give."""
    if ORDERS_VARIABLE not in os.environ:
        return
    orders: Orders = json.loads(Path(os.environ[ORDERS_VARIABLE]).read_text(encoding="utf-8"))
    variables = _hide_from_children(COLLECT_OPTIONS if orders["shard"] is None else RUN_OPTIONS)
    config.pluginmanager.register(Tags(), "tms-tags")
    if orders["shard"] is not None:
        config.pluginmanager.register(Selection(config, orders), "tms-selection")
    if hasattr(config, "workerinput"):
        # A worker of pytest-xdist selects and runs; its controller listens.
        return
    writer = SpoolWriter(orders["spool"])
    config.add_cleanup(writer.close)
    listener = Collected(writer) if orders["shard"] is None else Listener(config, writer, orders)
    config.pluginmanager.register(listener, "tms-listener")
    config.pluginmanager.register(_Workers(variables), "tms-workers")
    _keep_outputs_apart(config, orders["shard"])


def _hide_from_children(options: str) -> dict[str, str]:
    """Keep a pytest that a test starts from loading this plugin too; return the variables as they were."""
    variables = {name: os.environ.pop(name, "") for name in (ORDERS_VARIABLE, "PYTEST_ADDOPTS")}
    rest = variables["PYTEST_ADDOPTS"].removeprefix(options).strip()
    if rest:
        os.environ["PYTEST_ADDOPTS"] = rest
    return variables


def _keep_outputs_apart(config: pytest.Config, shard: int | None) -> None:
    """Give each shard its own `--basetemp` and `--junitxml`: shards run side by side and would overwrite them."""
    if shard is None:
        config.option.xmlpath = None
        return
    if config.option.basetemp:
        config.option.basetemp = Path(config.option.basetemp) / f"shard-{shard}"
        config.option.basetemp.parent.mkdir(parents=True, exist_ok=True)
    xmlpath = getattr(config.option, "xmlpath", None)
    if xmlpath:
        path = Path(xmlpath)
        config.option.xmlpath = str(path.with_name(f"{path.stem}-shard-{shard}{path.suffix}"))


class _Workers:
    """Lets the workers of pytest-xdist read the orders too; each of them hides them from its own children."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        os.environ.update(self._variables)


class Selection:
    """Keeps the tests of this shard's files. A file that the plan does not know is the first shard's."""

    def __init__(self, config: pytest.Config, orders: Orders) -> None:
        self._shard = orders["shard"]
        self._plan = orders["plan"]
        self._folder = config.invocation_params.dir
        self._elsewhere = {
            os.path.normpath(config.rootpath / file) for file, shard in self._plan.items() if shard != self._shard
        }

    def has(self, nodeid: str) -> bool:
        """Tell whether a node belongs to this shard."""
        return self._plan.get(file_of(nodeid), FIRST_SHARD) == self._shard

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not even import the files of other shards."""
        # A package's __init__.py stands for the package in older versions of pytest.
        if str(collection_path) not in self._elsewhere or collection_path.name == "__init__.py":
            return None
        return True if collection_path.is_file() else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Drop the files of other shards that the command line names, which pytest never ignores."""
        session.config.args[:] = [argument for argument in session.config.args if not self._names_elsewhere(argument)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop what came in another way, as by `--pyargs`."""
        items[:] = [item for item in items if self.has(item.nodeid)]

    def _names_elsewhere(self, argument: str) -> bool:
        path = os.path.normpath(self._folder / file_of(argument))
        return path in self._elsewhere and Path(path).is_file()


class Tags:
    """Lets each report carry the names of its test's marks, also from an xdist worker to its controller."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the marks to the report."""
        report = yield
        names = dict.fromkeys(mark.name for mark in item.iter_markers() if mark.name not in _STEERING_MARKS)
        vars(report)["tms_tags"] = list(names)
        return report


class Collected:
    """Writes down what `--collect-only` finds: each file's number of tests, and what could not be collected."""

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self._files: dict[str, int] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what failed or skipped as a whole: some shard has to tell of it, as of a test."""
        if report.failed or report.skipped:
            self._add(report.nodeid)
        if report.failed:
            self._writer.write(broken=collect_record(report))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests that are left after `-k`, `-m` and the like."""
        for item in session.items:
            self._add(item.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the plan's raw material, and whether pytest would run the rest where some cannot be collected."""
        goes_on = session.config.option.continue_on_collection_errors
        self._writer.write(collected=self._files, goes_on=goes_on)
        self._writer.write(finish=int(exitstatus))

    def _add(self, nodeid: str) -> None:
        file = file_of(nodeid)
        self._files[file] = self._files.get(file, 0) + 1


class Listener:
    """Writes down what happens in this shard."""

    def __init__(self, config: pytest.Config, writer: SpoolWriter, orders: Orders) -> None:
        self._writer = writer
        self._selection = Selection(config, orders)
        self._attempts = Attempts(config.getoption("showcapture", "all"))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the test that begins, so that a process that dies in it leaves its name."""
        self._attempts.begin(nodeid)
        self._writer.write(start=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test."""
        self._attempts.add(report)
        # xdist's report of a test whose worker died: nothing follows it.
        if str(report.when) == "???":
            self._write(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write a test that has ended; one that is run again goes on."""
        if not self._attempts.goes_on(nodeid):
            self._write(nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a file that failed or skipped as a whole, as pytest's own report does."""
        if not self._selection.has(report.nodeid):
            return
        if report.failed:
            self._writer.write(broken=collect_record(report))
        elif report.skipped:
            self._writer.write(test=collect_record(report))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write what is left: a test that a plugin gave up before it was run again."""
        for nodeid in self._attempts.open():
            self._write(nodeid)
        self._writer.write(finish=int(exitstatus))

    def _write(self, nodeid: str) -> None:
        ended = self._attempts.end(nodeid)
        if ended is not None:
            title, file = title_of(nodeid), file_of(nodeid)
            self._writer.write(test=record(title=title, file=file, **ended), nodeid=nodeid)


def collect_record(report: pytest.CollectReport) -> Record:
    """Make the record of a file or class that failed or skipped while it was collected."""
    return record(
        title=title_of(report.nodeid),
        file=file_of(report.nodeid),
        status="failed" if report.failed else "skipped",
        error=report.longreprtext if report.failed else None,
    )


def file_of(nodeid: str) -> str:
    """Return a node's file, relative to pytest's rootdir, with forward slashes."""
    return nodeid.partition("::")[0]


def title_of(nodeid: str) -> str:
    """Return a node's name within its file, such as `TestLogin::test_works[admin]`; a whole file is its own title."""
    return nodeid.partition("::")[2] or nodeid or "(root)"
