"""The pytest plugin `tms`: `pytest --tms` runs what a TMS server deals to this process. Otherwise it does nothing.

pytest loads this module into every process where tms-sdk is installed, so it imports nothing before it is asked to.
"""

from importlib import import_module

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options. What they leave open, the environment tells: TMS_URL, TMS_TOKEN, TMS_EXECUTION."""
    group = parser.getgroup("tms", "share tests with other pytest processes through a TMS server")
    group.addoption("--tms", action="store_true", help="claim tests from the server and report them")
    group.addoption(
        "--tms-execution", metavar="ID", help="the execution that several nodes share, as `tms create` made"
    )
    group.addoption(
        "--tms-mode",
        choices=("queue", "static"),
        default="queue",
        help="claim tests in batches, or a whole shard at once (default: %(default)s)",
    )
    group.addoption(
        "--tms-order",
        choices=("duration", "failed-first"),
        default="duration",
        help="what comes first: what takes longest, or what failed lately (default: %(default)s)",
    )
    group.addoption("--tms-rerun", metavar="ID", help="run only what failed or is missing in this execution")
    group.addoption("--tms-shard", type=int, metavar="N", help="the shard to work on (default: the server picks one)")
    group.addoption(
        "--tms-spool",
        metavar="DIR",
        default=".tms-spool",
        help="where results wait for a server that is away (default: %(default)s)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take part, if asked to."""
    if config.option.tms:
        import_module("tms_sdk.pytest_node").take_part(config)
