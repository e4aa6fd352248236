"""Where people and programs look at an execution (X-009, X-023, X-069, X-070): absolute URLs on a public base."""

from orchestrator.executions.model import Execution


def report(base_url: str, execution_id: str) -> str:
    """The page of results."""
    return f"{base_url}/reports/{execution_id}"


def shard_report(base_url: str, execution_id: str, shard_id: str) -> str:
    """The page of one shard's results."""
    return f"{base_url}/reports/{execution_id}/shard-{shard_id}"


def logs(base_url: str, execution_id: str) -> str:
    """The page of logs."""
    return f"{base_url}/logs/{execution_id}"


def artifacts(base_url: str, execution_id: str) -> str:
    """The page of artifacts."""
    return f"{base_url}/artifacts/{execution_id}"


def inbound_events(base_url: str, execution_id: str) -> str:
    """Where a runner posts its events."""
    return f"{base_url}/api/webhooks/executions/{execution_id}"


def of(execution: Execution) -> dict[str, str]:
    """All pages of an execution, as `execution.completed` names them."""
    base, execution_id = execution.base_url, execution.execution_id
    return {
        "reportUrl": report(base, execution_id),
        "logsUrl": logs(base, execution_id),
        "artifactsUrl": artifacts(base, execution_id),
    }
