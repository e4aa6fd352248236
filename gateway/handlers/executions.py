"""Executions: create, list, look, cancel."""

from gateway import paths
from gateway.calls import Call
from gateway.wire import executions as wire
from gateway.wire import listings, reading
from orchestrator import ids
from orchestrator.errors import FieldError, NotFound, ValidationFailed
from orchestrator.executions import links
from orchestrator.executions.commands import Cancel, Create
from orchestrator.executions.model import Execution, Shard
from orchestrator.identity import webhook_tokens
from orchestrator.jobs import template
from orchestrator.jobs.model import MANAGED, JobRun
from orchestrator.timestamps import to_text
from storage import executions, jobs
from storage.executions import Filter, Position
from storage.postgres import Connection

_LONGEST_NUMBER = 4
CANCELLED_BY_USER = "User requested cancellation"


async def create(call: Call[wire.CreateExecution, None]) -> wire.ExecutionCreated:
    """Make an execution (X-006); the same `Idempotency-Key` gives the first one again (X-085)."""
    services, body, marks = call.services, call.body, call.marks()
    configuration = (body.configuration or wire.NewConfiguration()).settled()
    base_url = paths.base_url(call.request, services.settings.public_url)
    run = await _run(call)
    receipt = await services.mailbox.send(
        Create(
            command_id=marks.command_id,
            tenant_id=call.principal.tenant_id,
            execution_id=ids.execution_id(call.now),
            may_repeat=marks.may_repeat,
            fingerprint=marks.fingerprint,
            test_suite=body.test_suite,
            environment=body.environment,
            provider=body.provider,
            trigger_source=body.trigger_source,
            configuration=configuration,
            metadata=reading.metadata_text(call.raw),
            base_url=base_url,
            run=run,
        )
    )
    return wire.ExecutionCreated(
        execution_id=receipt.execution_id,
        status=receipt.status,
        created_at=to_text(receipt.at),
        configuration=wire.CreatedConfiguration(
            body.test_suite, body.environment, configuration.shards, configuration.timeout
        ),
        webhook_url=links.inbound_events(base_url, receipt.execution_id),
        webhook_token=webhook_tokens.token_of(services.secret_key, receipt.execution_id),
    )


async def _run(call: Call[wire.CreateExecution, None]) -> JobRun | None:
    """The job that the server is to run, in its newest version; None for executions with runners of their own.

    Raises:
        ValidationFailed: there is no such job, or it cannot be run like this.
    """
    wanted = call.body.job
    if wanted is None:
        if call.body.provider == MANAGED:
            raise ValidationFailed(FieldError("job", f"Required with the provider {MANAGED}"))
        return None
    if call.body.provider != MANAGED:
        raise ValidationFailed(FieldError("job", f"Only the provider {MANAGED} runs jobs"))
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        try:
            job = await jobs.named(connection, wanted.name)
        except NotFound as error:
            raise ValidationFailed(FieldError("job.name", error.message)) from None
    definition = job.definition
    given = template.settle(definition.parameters, definition.command, wanted.parameters or {}, "job.parameters")
    return JobRun(job.job_id, job.version, given)


async def show(call: Call[None, None]) -> wire.ExecutionState:
    """One execution as it stands (X-018)."""
    execution_id = paths.execution_id_of(call.request)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        return wire.printed(await found(connection, execution_id))


async def cancel(call: Call[wire.CancelExecution | None, None]) -> wire.ExecutionCancelled:
    """Call an execution off (X-027)."""
    reason = (call.body and call.body.reason) or CANCELLED_BY_USER
    receipt = await call.services.mailbox.send(
        Cancel(
            command_id=ids.new_id("cmd", call.now),
            tenant_id=call.principal.tenant_id,
            execution_id=paths.execution_id_of(call.request),
            reason=reason,
        )
    )
    return wire.ExecutionCancelled(
        execution_id=receipt.execution_id, status=receipt.status, cancelled_at=to_text(receipt.at), reason=reason
    )


async def page(call: Call[None, wire.ExecutionQuery]) -> wire.ExecutionPage:
    """The caller's executions, newest first (X-026)."""
    query = call.query
    wanted = Filter(
        test_suite=query.test_suite,
        environment=query.environment,
        status=query.status,
        has_ended=query.has_ended,
        result=query.result,
        branch=query.branch,
        commit=query.commit,
        created_from=query.created_from,
        created_before=query.created_before,
    )
    after = listings.position_of(query.cursor, Position)
    async with call.services.reader.tenant(call.principal.tenant_id) as connection:
        listed, end = await executions.page(connection, wanted, after=after, limit=query.limit)
    return wire.ExecutionPage([wire.printed(one) for one in listed], listings.cursor_of(end))


async def found(connection: Connection, execution_id: str) -> Execution:
    """The execution with this id.

    Raises:
        NotFound: this tenant has none.
    """
    execution = (await executions.load(connection, [execution_id])).get(execution_id)
    if execution is None:
        raise NotFound(f"No execution {execution_id}")
    return execution


def found_shard(execution: Execution, number: str) -> Shard:
    """The shard that a path names.

    Raises:
        NotFound: there is none.
    """
    shard = execution.shard(number) if len(number) <= _LONGEST_NUMBER else None
    if shard is None:
        raise NotFound(f"{execution.execution_id} has no such shard")
    return shard
