"""How our commands make executions, and what they think of one that has ended."""

import os
from typing import Any

from tms_sdk import ci
from tms_sdk.client import TMSClient

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


def failed_at(client: TMSClient, execution_id: str) -> str | None:
    """Tell where to look at an execution that has ended with failures or missing tests; None where it has not.

    Failures in quarantine do not count.

    Raises:
        TMSError: the server does not say.
    """
    if client.gate(execution_id, rules="failures=0,incomplete=0")["verdict"] != "failed":
        return None
    return client.get_execution(execution_id)["artifacts"].get("reportUrl", execution_id)
