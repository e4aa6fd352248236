"""Checks the contract markers and reports how many contract rows passing tests cover.

``contract_rows.txt`` lists the ids of the rows, one a line; the letter before the dash is the row's family.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from orchestrator.config import Settings
from server.stores import Stores, open_stores, prepare
from storage import identity, postgres
from storage.postgres import DirectConnection, Reader
from tests.portal import Portal
from tests.running import RunningServer

CONTRACT_ROWS = frozenset((Path(__file__).parent / "contract_rows.txt").read_text().split())
TEMP = pytest.StashKey[str]()
"""The temp folder made for this run; kept after a failure."""
FINDINGS = pytest.StashKey[list[str]]()
"""What tests counted and want to be read whether they pass or not."""
OUTCOMES = pytest.StashKey[dict[str, bool]]()
"""Contract row -> whether every test that carries it, of those run so far, has passed."""

# Property tests draw the same examples as long as they stay the same, so that what fails is what was changed, and no
# machine is too slow for them. `--hypothesis-profile=explore` draws others each time, and many.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("same"), derandomize=False, max_examples=2000)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spec",
        type=Path,
        default=Path(__file__).parent.parent.parent / "shared" / "spec" / "tms-integration-api.md",
        help="the integration document, whose samples are run as they are",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}
    config.stash[FINDINGS] = []
    # pytest closes its common temp folder to all but its own user whenever it starts. A second pytest, as those that
    # tests start, would so take the folder away from under a Postgres that does not run as root.
    if config.option.basetemp is None:
        config.option.basetemp = config.stash[TEMP] = tempfile.mkdtemp(prefix="tms-tests-")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and TEMP in session.config.stash:
        shutil.rmtree(session.config.stash[TEMP])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = [row for row in _rows(item) if row not in CONTRACT_ROWS]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: no such contract row: {', '.join(map(str, unknown))}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    outcomes = item.config.stash[OUTCOMES]
    for row in _rows(item):
        if report.failed:
            outcomes[row] = False
        elif report.when == "call" and report.passed:
            outcomes.setdefault(row, True)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for finding in config.stash[FINDINGS]:
        terminalreporter.write_line(finding)
    rows = Counter(map(_family, CONTRACT_ROWS))
    covered = Counter(_family(row) for row, passed in config.stash[OUTCOMES].items() if passed)
    counts = ", ".join(f"{family} {covered[family]}/{rows[family]}" for family in ("X", "V", "T"))
    terminalreporter.write_line(f"contract rows covered by passing tests: {counts}")


def _rows(item: pytest.Item) -> list[str]:
    return [row for marker in item.iter_markers("contract") for row in marker.args]


def _family(row: str) -> str:
    return row.partition("-")[0]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Puts a line, under the test's name, at the end of the run's output."""

    def write(finding: str) -> None:
        request.config.stash[FINDINGS].append(f"{request.node.name}: {finding}")

    return write


@pytest.fixture(scope="session")
def server(running_server: RunningServer) -> RunningServer:
    """One server for all tests that do not break it."""
    return running_server


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The same, where `server` is another one; its webhooks may go to receivers on this machine."""
    folder = tmp_path_factory.mktemp("server")
    settings = {"webhook_allow": "127.0.0.0/8", "job_folders": str(folder / "suites"), "job_grace_seconds": "0.5"}
    with RunningServer(folder / "data", **settings) as running:
        yield running
    assert running.is_gone(), "a stopped server leaves no process behind"


PARTITIONS = 256
"""Enough that each test that owns one can have its own."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """An embedded Postgres with the schema, and a Valkey, on a thread of their own; no server."""
    folder = tmp_path_factory.mktemp("stores") / "data"
    settings = Settings(data_dir=folder, partitions=PARTITIONS)
    with Portal() as portal, portal.entered(open_stores(settings)) as stores:
        portal.call(prepare(settings, stores.database_url))
        yield stores


@pytest.fixture
async def connection(stores: Stores) -> AsyncIterator[DirectConnection]:
    """A connection of the owning role."""
    opened = await postgres.connect(stores.database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def reader(stores: Stores) -> AsyncIterator[Reader]:
    """Connections as the gateway has them."""
    opened = await Reader.open(stores.database_url, size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def tenant(connection: DirectConnection) -> int:
    """A tenant of the test's own."""
    tenant_id: int = await connection.fetchval(
        "INSERT INTO tenants (name) VALUES ('tenant-' || gen_random_uuid()) RETURNING tenant_id"
    )
    return tenant_id


@pytest.fixture
async def other_tenant(connection: DirectConnection) -> int:
    """A second tenant of the test's own."""
    return await identity.ensure_tenant(connection, f"other-{uuid4()}")


@pytest.fixture(scope="session")
def partition_numbers() -> Iterator[int]:
    return iter(range(PARTITIONS))


@pytest.fixture
def partition(partition_numbers: Iterator[int]) -> int:
    """A partition that no other test owns."""
    return next(partition_numbers)
