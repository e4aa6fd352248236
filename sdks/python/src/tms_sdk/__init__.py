"""Report tests to a TMS server from Python.

`TMSClient` speaks the API, `tms_sdk.live.follow` streams an execution's events, and the command `tms` puts
them together (see `tms --help`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tms_sdk.client import TMSClient
    from tms_sdk.errors import ApiError, ReportError, ReportsRejected, TMSError, Unreachable, UsageError
    from tms_sdk.retry import Retry

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "ReportError",
    "ReportsRejected",
    "Retry",
    "TMSClient",
    "TMSError",
    "Unreachable",
    "UsageError",
    "__version__",
]

_HOMES = {
    "ApiError": "tms_sdk.errors",
    "ReportError": "tms_sdk.errors",
    "ReportsRejected": "tms_sdk.errors",
    "Retry": "tms_sdk.retry",
    "TMSClient": "tms_sdk.client",
    "TMSError": "tms_sdk.errors",
    "Unreachable": "tms_sdk.errors",
    "UsageError": "tms_sdk.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used.

    The pytest plugin lives in this package too, and loading an HTTP client into every test process would cost each of
    them time and memory for nothing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
