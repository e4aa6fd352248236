"""How our commands make executions."""

import os
from typing import Any

from tms_sdk import ci

# A test whose runner died is given to others this often.
_RETRIES = 3


def configuration(
    *, shards: int, provider: str, suite: str = "all", environment: str = "dev", timeout: int | None = None
) -> dict[str, Any]:
    """Describe an execution with a plan, as `create_execution` takes it; `timeout` is in seconds."""
    settings: dict[str, Any] = {"shards": shards, "parallel": True, "retries": _RETRIES}
    if timeout is not None:
        settings["timeout"] = timeout * 1000
    return {
        "testSuite": suite,
        "environment": environment,
        "provider": provider,
        "triggerSource": "api" if os.environ.get("CI") else "manual",
        "configuration": settings,
        "metadata": ci.metadata(os.environ, ci.git_output),
    }
