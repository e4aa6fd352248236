"""What the links of an execution lead to: report, logs, artifacts (X-023, X-056, X-069, X-070).

A program gets JSON, or what it asks for; a browser that shows a token gets a page with the same in it, and one that
shows none the dashboard.
"""

from http import HTTPStatus

from aiohttp import web

from gateway import calls, pages, paths
from gateway.accepts import wants_page
from gateway.calls import HTML, JSON, Call
from gateway.handlers import report_files
from gateway.handlers.artifacts import printed
from gateway.handlers.executions import found, found_shard
from gateway.wire import executions as printing
from gateway.wire import listings
from gateway.wire import reports as wire
from gateway.wire.results import Artifacts
from orchestrator.artifacts.kinds import Kind
from orchestrator.artifacts.model import Artifact
from storage import artifacts as stored
from storage import executions, job_output
from storage.artifacts import ArtifactFilter
from storage.executions import TestFilter

SLOWEST = 20
FAILED = 1000
SUBMISSIONS = 10_000
FILES = 1000


async def report(call: Call[None, None]) -> wire.Report | web.StreamResponse:
    """An execution with its failed and its slowest tests, or with all of them in another format."""
    media = report_files.wanted(call)
    if media not in {JSON, HTML}:
        return await report_files.send(call, media)
    found_report = await report_json(call)
    return _page(call, pages.report(found_report)) if media == HTML else found_report


async def report_json(call: Call[None, None]) -> wire.Report:
    """An execution with its failed and its slowest tests, whatever `Accept` says."""
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
        failed, _ = await executions.tests(connection, execution_id, wire.ONLY_FAILED, after=None, limit=FAILED)
        slowest = await executions.slowest_tests(connection, execution_id, SLOWEST)
    return wire.Report(
        execution=printing.printed(execution),
        failed_tests=[listings.test(record) for record in failed],
        slowest_tests=[listings.test(record) for record in slowest],
    )


async def shard_report(call: Call[None, None]) -> wire.ShardReport | web.StreamResponse:
    """One shard with the tests of its current submission: up to a page full, or all of them in another format."""
    media = report_files.wanted(call)
    if media not in {JSON, HTML}:
        return await report_files.send(call, media)
    found_report = await shard_report_json(call)
    return _page(call, pages.shard_report(found_report)) if media == HTML else found_report


async def shard_report_json(call: Call[None, None]) -> wire.ShardReport:
    """One shard with the tests of its current submission, up to a page full, whatever `Accept` says."""
    execution_id, number = paths.execution_id_of(call.request), call.request.match_info["shardId"]
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        execution = await found(connection, execution_id)
        shard = found_shard(execution, number)
        wanted = TestFilter(shard=int(number))
        records, _ = await executions.tests(connection, execution_id, wanted, after=None, limit=FAILED)
    return wire.ShardReport(
        execution_id=execution_id,
        shard=printing.printed_shard(shard, execution.deal),
        tests=[listings.test(record) for record in records],
    )


async def logs(call: Call[None, None]) -> wire.ShardLogs | web.StreamResponse:
    """Logs that were uploaded, and names of logs by shard.

    `shard-N` is the output of a managed shard, found under that name below this path.
    """
    execution_id = paths.execution_id_of(call.request)
    told, files, has_more = await _artifacts(call, ArtifactFilter(kind=Kind.LOGS))
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        kept = await job_output.shards(connection, execution_id)
    names = {shard: artifacts.logs or [] for shard, artifacts in told.items()}
    names |= {str(number): [f"shard-{number}", *names.get(str(number), [])] for number in kept}
    found_logs = wire.ShardLogs(execution_id, names, [printed(call, one) for one in files], has_more)
    return _page(call, pages.logs(found_logs)) if wants_page(call.request) else found_logs


async def artifacts(call: Call[None, None]) -> wire.ShardArtifacts | web.StreamResponse:
    """Files that were uploaded, and names of all artifacts by shard and kind."""
    told, files, has_more = await _artifacts(call, ArtifactFilter())
    listed = [printed(call, one) for one in files]
    found_artifacts = wire.ShardArtifacts(paths.execution_id_of(call.request), told, listed, has_more)
    return _page(call, pages.artifacts(found_artifacts)) if wants_page(call.request) else found_artifacts


async def _artifacts(
    call: Call[None, None], wanted: ArtifactFilter
) -> tuple[dict[str, Artifacts], list[Artifact], bool]:
    """What the current submissions told of, by shard; the first files that were uploaded; whether there are more."""
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        records = await executions.submissions(connection, execution_id, limit=SUBMISSIONS)
        files, end = await stored.page(connection, execution_id, wanted, after=None, limit=FILES)
    told = {record.shard_id: wire.stored_artifacts(record.artifacts) for record in records if record.is_current}
    return told, files, end is not None


def _page(call: Call[None, None], content: bytes) -> web.Response:
    return calls.answer(call.request, HTTPStatus.OK, content, HTML)
