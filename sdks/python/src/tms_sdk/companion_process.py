"""The process beside a `pytest --tms`: `python -m tms_sdk.companion_process ORDERS`."""

import json
import os
import signal
import socket
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import tms_sdk.lean  # noqa: F401 - before anything imports httpx
from tms_sdk.assignment import Assignment
from tms_sdk.client import TMSClient
from tms_sdk.errors import TMSError, Unreachable
from tms_sdk.executions import configuration
from tms_sdk.inbox import Inbox
from tms_sdk.manifest import ORDERS, Dealing
from tms_sdk.retry import Patience
from tms_sdk.runner import HASTE, Runner
from tms_sdk.settings import Settings
from tms_sdk.share import Node, node_of
from tms_sdk.spool import Spool
from tms_sdk.verdict import Death


class Job:
    """A node of a CI job, seen from the process beside its pytest."""

    provider = "tms-pytest"
    outlives_pytest = False

    def __init__(self, client: TMSClient, execution_id: str | None, node: Node) -> None:
        self._client = client
        self._execution_id = execution_id
        self._node = node
        self._parent = os.getppid()
        self._is_own = False

    def find(self) -> str:
        """Return the execution that was named, or make one for this node alone.

        Raises:
            Unreachable: there is none for several nodes to share, since the server was away when it should be made.
            TMSError: none can be made.
        """
        if self._execution_id is None:
            if self._node.total > 1:
                raise Unreachable("TMS_EXECUTION", "it names no execution for the nodes to share", 1)
            created = self._client.create_execution(configuration(shards=1, provider=self.provider))
            self._execution_id, self._is_own = created["executionId"], True
        return self._execution_id

    def tell(self, line: dict[str, Any]) -> None:
        """Pytest itself shows what happens."""

    def interrupt(self, pid: int) -> None:
        """Do what Ctrl-C does."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)

    def death(self) -> Death | None:
        """Pytest is our parent, so somebody else becomes it when pytest dies."""
        return None if os.getppid() == self._parent else Death(None)

    def is_turn(self, *, fails: bool) -> bool:  # noqa: ARG002 - nobody waits for anybody
        """Other nodes go on where one has died."""
        return self._is_own

    def abort(self) -> None:
        """Cancel an execution that is this node's own."""
        if self._is_own and self._execution_id is not None:
            self._client.cancel_execution(self._execution_id)


def main(orders: dict[str, Any]) -> int:
    """Serve one pytest process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    inbox = Inbox(socket.socket(fileno=orders["listener"]))
    settings = Settings.read(os.environ)
    try:
        node = node_of(os.environ)
        client = TMSClient(settings.token, settings.url, retry=HASTE)
    except TMSError as error:
        inbox.refuse(str(error))
        return 1
    # For people: which machine, which pytest. For the server: no other one.
    runner_id = f"{socket.gethostname()}-{os.getppid()}-{uuid.uuid4().hex[:8]}"
    spool = Spool(Path(orders["spool"]), runner_id)
    with client:
        dealing = Dealing(orders["mode"], ORDERS[orders["order"]], orders["rerun"])
        shard = orders["shard"]
        assignment = Assignment(client, runner_id, dealing, shard_id=shard, is_fixed=shard is not None, spool=spool)
        assignment.execution_id = orders["execution"]
        # Without an execution to share there is nothing to wait for.
        waits = orders["execution"] is not None or node.total == 1
        patience = Patience(settings.patience if waits else 0.0)
        Runner(inbox, assignment, Job(client, orders["execution"], node), node, spool, patience).work()
    return 0


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]))
    # All is sent and closed. To take a whole interpreter apart costs a twentieth of a second, for which pytest waits.
    os._exit(code)
