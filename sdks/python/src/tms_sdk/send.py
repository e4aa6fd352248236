"""`tms send`: results that wait on disk, because the server was away when their tests ended."""

import fcntl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tms_sdk import spool
from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError
from tms_sdk.executions import configuration
from tms_sdk.outbox import Outbox, Tally
from tms_sdk.records import count
from tms_sdk.spool import Kept, Spool
from tms_sdk.wire import Claim

PROVIDER = "tms-send"


def send(client: TMSClient, folder: Path, execution_id: str | None, console: Console) -> bool:
    """Send what waits in a folder; return whether the server has all of it now.

    Results of an execution are reported in it: those of tests that others ran meanwhile come late, and do not count.
    Results of runs that had no execution become the shards of one: of `execution_id`, or of a new one.

    Raises:
        ApiError: the server refuses.
        Unreachable: it does not answer.
    """
    waiting = [kept for path in spool.files(folder) if (kept := _read(path, console)) is not None]
    if not waiting:
        console.print(f"Nothing waits in {folder}.", highlight=False)
    without = [kept for kept in waiting if kept.run.get("executionId") is None and execution_id is None]
    delivered = True
    if without:
        _send_as_new(client, without, console)
    for kept in waiting:
        if kept not in without:
            delivered &= _send_to(client, kept, kept.run.get("executionId") or execution_id or "", console)
    return delivered


def _read(path: Path, console: Console) -> Kept | None:
    """Read a file that no run is using."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"{path.name}: its run goes on, and sends it itself", highlight=False, soft_wrap=True)
            return None
        return spool.read(path, file)


def _send_as_new(client: TMSClient, waiting: Sequence[Kept], console: Console) -> None:
    created = client.create_execution(configuration(shards=len(waiting), provider=PROVIDER))
    for shard, kept in enumerate(waiting, 1):
        tests = [test for batch in kept.batches for test in batch.tests]
        end = kept.end or {}
        results = {
            "provider": PROVIDER,
            "status": end.get("status"),
            "summary": count(tests),
            "tests": tests,
            "metadata": end.get("metadata", {}),
        }
        client.submit_results(created["executionId"], str(shard), results)
        spool.remove(kept.path)
        console.print(
            f"{kept.path.name}: {len(tests)} results are shard {shard} of {created['executionId']}",
            highlight=False,
            soft_wrap=True,
        )


def _send_to(client: TMSClient, kept: Kept, execution_id: str, console: Console) -> bool:
    """Send one run's results to their execution."""
    runner_id = kept.run["runnerId"]
    file = Spool(kept.path.parent, runner_id)
    outbox = Outbox(client, runner_id, file)
    outbox.put(kept.batches)
    outbox.send(execution_id)
    lease = None
    if outbox.has_unleased():
        lease = _claim(client, kept, execution_id)
        if lease is not None:
            outbox.assign(lease["leaseId"] or "", lease["shardId"] or "")
            outbox.send(execution_id)
            _hand_back(client, execution_id, lease["leaseId"] or "", runner_id)
    for shard_id in dict.fromkeys([batch.shard_id for batch in kept.batches]):
        if shard_id is not None and kept.end is not None and not outbox.tally.refused:
            end = dict(kept.end)
            client.close_shard(execution_id, shard_id, runner_id=runner_id, key=f"{end.pop('key')}.{shard_id}", **end)
    # What nobody leases to us any more, others have reported.
    _print(kept.path, outbox.tally, len(outbox), console)
    file.close(keep=True)
    if not outbox.tally.refused:
        spool.remove(kept.path)
    return not outbox.tally.refused


def _claim(client: TMSClient, kept: Kept, execution_id: str) -> Claim | None:
    """Get a lease to report under; None where the execution needs no more results."""
    try:
        if kept.run.get("plan"):
            client.put_plan(execution_id, kept.run["plan"])
        claim = client.claim(execution_id, kept.run["runnerId"], shard_id=kept.run.get("shardId"))
    except ApiError as error:
        if error.status == HTTPStatus.CONFLICT:
            return None
        raise
    return claim if claim["state"] == "leased" else None


def _hand_back(client: TMSClient, execution_id: str, lease_id: str, runner_id: str) -> None:
    """Give others the tests of the lease that we have no results of."""
    try:
        client.hand_back(execution_id, lease_id, runner_id)
    except ApiError as error:
        # With the last test's report the lease may have ended, and with it the execution.
        if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            raise


def _print(path: Path, tally: Tally, unwanted: int, console: Console) -> None:
    words = f"{path.name}: {tally.accepted} accepted"
    words += f", {tally.duplicates} there already" if tally.duplicates else ""
    late = tally.late + unwanted
    words += f", {late} late: others had got these tests" if late else ""
    console.print(words, highlight=False, soft_wrap=True)
    for reason in tally.refused:
        console.print(Text(f"  refused: {reason}", "bold red"), soft_wrap=True)
