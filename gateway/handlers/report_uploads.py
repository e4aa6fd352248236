"""Reports of test tools as the results of a shard: all files of an upload are one submission, or none is stored."""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from gateway import paths
from gateway.calls import Call
from gateway.handlers.results import Stored, store
from gateway.middleware import idempotency
from gateway.middleware.entry import REQUEST_ID
from gateway.middleware.forms import SentFile
from gateway.wire import errors
from gateway.wire import report_uploads as wire
from gateway.wire.faults import MOST_FAULTS
from gateway.wire.report_uploads import FileStatus
from gateway.wire.results import Artifacts, ReportedStatus, ResultSubmission, RunMetadata
from orchestrator.artifacts import kinds
from orchestrator.errors import FieldError, UnreadableReport, ValidationFailed
from orchestrator.executions.formats import reading
from orchestrator.executions.formats.report import MAX_TESTS, Report
from orchestrator.executions.model import TestResult, TestStatus
from orchestrator.timestamps import to_text

MOST_ARTIFACTS = 10_000
# Larger uploads are read on a thread, so that others need not wait.
_LARGE = 64 * 1024
_REST = "Not stored, since another file of the upload cannot be read"

Upload = Call[list[SentFile], wire.UploadQuery]


class ReadFile(msgspec.Struct, frozen=True):
    """A file and what it tells; `is_repeated`: a file before it has the same content."""

    file: SentFile
    report: Report
    is_repeated: bool


async def upload(call: Upload) -> wire.ReportsAccepted | wire.ReportsRejected:
    """Take the reports of a shard; the answer means that they are stored for good.

    Raises:
        ValidationFailed: there is no file.
    """
    execution_id = paths.execution_id_of(call.request)
    if not call.body:
        raise ValidationFailed(FieldError("files", "Must not be empty"))
    if sum(len(file.content) for file in call.body) > _LARGE:
        files, faults = await asyncio.to_thread(_read, call.body)
    else:
        files, faults = _read(call.body)
    return _rejected(call, faults) if faults else await _store(call, execution_id, files)


def _read(sent: Sequence[SentFile]) -> tuple[list[ReadFile], dict[int, str]]:
    """The files that can be read, and of each other one, by its index, why not."""
    files: list[ReadFile] = []
    faults: dict[int, str] = {}
    known: dict[bytes, Report] = {}
    tests = 0
    for index, file in enumerate(sent):
        report = known.get(file.content)
        is_repeated = report is not None
        if report is None:
            try:
                report = reading.read(file.content)
            except UnreadableReport as error:
                faults[index] = error.message
                continue
            known[file.content] = report
            tests += len(report.tests)
            if tests > MAX_TESTS:
                faults[index] = f"With it, there are more than {MAX_TESTS} tests in the upload"
        files.append(ReadFile(file, report, is_repeated))
    return files, faults


def _rejected(call: Upload, faults: Mapping[int, str]) -> wire.ReportsRejected:
    """Nothing is stored: half of a shard's results would look like all of them."""
    named = [FieldError(f"files[{index}]", f"{call.body[index].name}: {fault}") for index, fault in faults.items()]
    which = f"{len(faults)} of {len(call.body)} files" if len(call.body) > 1 else "the file"
    refusal = ValidationFailed(*named[:MOST_FAULTS], message=f"Nothing was stored: {which} cannot be read")
    body = errors.body(refusal, call.request[REQUEST_ID], call.now)
    return wire.ReportsRejected(
        error=body.error,
        request_id=body.request_id,
        files=[
            wire.FileAnswer(
                file=file.name,
                format=reading.format_of(file.content),
                status=FileStatus.REJECTED,
                tests=0,
                error=faults.get(index, _REST),
            )
            for index, file in enumerate(call.body)
        ],
    )


async def _store(call: Upload, execution_id: str, files: Sequence[ReadFile]) -> wire.ReportsAccepted:
    shard_id = call.query.shard_id
    reports = [one.report for one in files if not one.is_repeated]
    tests = [test for report in reports for test in report.tests]
    status = _status(tests, call.query.exit_code)
    # What makes an upload the same is its files: a form has another boundary each time it is sent.
    content = b"".join(blake2b(one.file.content).digest() for one in files)
    stored = await store(
        call,
        idempotency.marks(call.request, call.principal, shard_id.encode() + content, call.now),
        ResultSubmission(
            execution_id=execution_id,
            shard_id=shard_id,
            status=status,
            artifacts=_artifacts(reports, tests),
            metadata=RunMetadata(duration=sum(report.duration_ms for report in reports)),
            runner_id=call.query.runner_id,
        ),
        tests,
        content,
        _metadata(files),
    )
    return wire.ReportsAccepted(
        execution_id=execution_id,
        shard_id=shard_id,
        submission_id=stored.submission_id,
        processed_at=to_text(stored.receipt.at),
        results=stored.totals,
        files=[_accepted(one, stored) for one in files],
    )


def _status(tests: Sequence[TestResult], exit_code: int | None) -> ReportedStatus:
    """A command that fails though no test did has broken off: its reports do not tell all."""
    if any(test.status is TestStatus.FAILED for test in tests):
        return ReportedStatus.FAILED
    return ReportedStatus.ERROR if exit_code else ReportedStatus.COMPLETED


def _accepted(one: ReadFile, stored: Stored) -> wire.FileAnswer:
    is_new = stored.receipt.applied and not one.is_repeated
    return wire.FileAnswer(
        file=one.file.name,
        format=one.report.format,
        status=FileStatus.ACCEPTED if is_new else FileStatus.DUPLICATE,
        tests=len(one.report.tests),
        submission_id=stored.submission_id,
        warnings=one.report.warnings,
    )


def _artifacts(reports: Sequence[Report], tests: Sequence[TestResult]) -> Artifacts:
    """The files that reports and tests name, by kind."""
    named = [path for report in reports for path in report.attachments]
    named += [path for test in tests if test.details is not None for path in test.details.attachments]
    by_kind: dict[str, list[str]] = {}
    for path in list(dict.fromkeys(named))[:MOST_ARTIFACTS]:
        by_kind.setdefault(kinds.kind(path), []).append(path)
    return Artifacts(**by_kind)


def _metadata(files: Sequence[ReadFile]) -> str:
    """Where the results come from, as JSON text."""
    reports = [
        {"file": one.file.name, "format": one.report.format, "tool": one.report.tool, "tests": len(one.report.tests)}
        for one in files
    ]
    return msgspec.json.encode({"reports": reports}).decode()
