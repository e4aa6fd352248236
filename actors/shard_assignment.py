"""What a runner is given: one attempt of a shard, and how its job is filled in for it."""

from collections.abc import Mapping

import msgspec

from actors.shard_reporter import Access
from orchestrator.jobs import template
from orchestrator.jobs.model import Definition
from storage.job_shards import Key

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "TMPDIR")


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a shard, with all that it needs; it holds secrets, and is not printed."""

    key: Key
    tenant_id: int
    shards: int
    definition: Definition
    parameters: dict[str, str]
    environment: dict[str, str]
    access: Access

    def __repr__(self) -> str:
        return f"Assignment({self.key})"

    def command(self) -> list[str]:
        """The program and its arguments."""
        return [template.fill(argument, self._values()) for argument in self.definition.command]

    def reports(self) -> str | None:
        """The glob of its reports."""
        pattern = self.definition.reports
        return None if pattern is None else template.fill(pattern, self._values())

    def variables(self, node: Mapping[str, str]) -> dict[str, str]:
        """The environment of the command. Little of the node's: that holds the server's keys."""
        passed_on = {name: node[name] for name in _PASSED_ON if name in node}
        ours = {
            "TMS_URL": self.access.url,
            "TMS_TOKEN": self.access.token,
            "TMS_EXECUTION": self.key.execution_id,
            "TMS_SHARD": str(self.key.shard),
            "TMS_SHARDS": str(self.shards),
        }
        return passed_on | self.environment | self._pytest_options() | ours

    def _pytest_options(self) -> dict[str, str]:
        """`pytest --tms` is to work on this shard, and not on one that the server picks."""
        if "--tms" not in self.command():
            return {}
        options = [self.environment.get("PYTEST_ADDOPTS", ""), f"--tms-shard {self.key.shard}"]
        return {"PYTEST_ADDOPTS": " ".join(filter(None, options))}

    def _values(self) -> dict[str, str]:
        """What stands for the placeholders."""
        given = {
            "executionId": self.key.execution_id,
            "shardId": str(self.key.shard),
            "shards": str(self.shards),
        }
        return given | self.parameters
