"""What the links of an execution lead to: report, logs, artifacts (X-023, X-056, X-069, X-070)."""

from aiohttp import web

from gateway import paths
from gateway.calls import JSON, Call
from gateway.handlers import report_files
from gateway.handlers.executions import found, found_shard
from gateway.wire import executions as printing
from gateway.wire import listings
from gateway.wire import reports as wire
from gateway.wire.results import Artifacts
from storage import executions, job_output
from storage.executions import TestFilter

SLOWEST = 20
FAILED = 1000
SUBMISSIONS = 10_000


async def report(call: Call[None, None]) -> wire.Report | web.StreamResponse:
    """An execution with its failed and its slowest tests, or with all of them in another format."""
    media = report_files.wanted(call)
    if media != JSON:
        return await report_files.send(call, media)
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
    if media != JSON:
        return await report_files.send(call, media)
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


async def logs(call: Call[None, None]) -> wire.ShardLogs:
    """Names of logs, by shard; `shard-N` is the output of a managed shard, found under that name below this path."""
    execution_id, by_shard = await _artifacts(call)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        kept = await job_output.shards(connection, execution_id)
    names = {shard: artifacts.logs or [] for shard, artifacts in by_shard.items()}
    names |= {str(number): [f"shard-{number}", *names.get(str(number), [])] for number in kept}
    return wire.ShardLogs(execution_id, names)


async def artifacts(call: Call[None, None]) -> wire.ShardArtifacts:
    """Names of all artifacts, by shard and kind."""
    return wire.ShardArtifacts(*await _artifacts(call))


async def _artifacts(call: Call[None, None]) -> tuple[str, dict[str, Artifacts]]:
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        await found(connection, execution_id)
        records = await executions.submissions(connection, execution_id, limit=SUBMISSIONS)
    return execution_id, {
        record.shard_id: wire.stored_artifacts(record.artifacts) for record in records if record.is_current
    }
