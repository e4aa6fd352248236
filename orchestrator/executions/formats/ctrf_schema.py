"""The properties that CTRF knows (specVersion 0.0.0), to find those that it does not."""

from collections.abc import Iterator, Sequence

import msgspec

Known = msgspec.Raw
_NONE = msgspec.Raw(b"null")


class _Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    extra: Known = _NONE


class _Attachment(_Strict):
    attachment_id: Known = _NONE
    name: Known = _NONE
    content_type: Known = _NONE
    path: Known = _NONE


class _Attempt(_Strict):
    attempt: Known = _NONE
    attempt_id: Known = _NONE
    status: Known = _NONE
    duration: Known = _NONE
    message: Known = _NONE
    trace: Known = _NONE
    line: Known = _NONE
    snippet: Known = _NONE
    stdout: Known = _NONE
    stderr: Known = _NONE
    start: Known = _NONE
    stop: Known = _NONE
    attachments: Sequence[_Attachment] | None = None


class _Step(_Strict):
    name: Known = _NONE
    status: Known = _NONE


class _Test(_Strict):
    id: Known = _NONE
    test_id: Known = _NONE
    execution_id: Known = _NONE
    name: Known = _NONE
    status: Known = _NONE
    duration: Known = _NONE
    start: Known = _NONE
    stop: Known = _NONE
    suite: Known = _NONE
    message: Known = _NONE
    trace: Known = _NONE
    snippet: Known = _NONE
    ai: Known = _NONE
    line: Known = _NONE
    raw_status: Known = _NONE
    tags: Known = _NONE
    labels: Known = _NONE
    type: Known = _NONE
    file_path: Known = _NONE
    retries: Known = _NONE
    retry_attempts: Sequence[_Attempt] | None = None
    flaky: Known = _NONE
    stdout: Known = _NONE
    stderr: Known = _NONE
    thread_id: Known = _NONE
    browser: Known = _NONE
    device: Known = _NONE
    screenshot: Known = _NONE
    attachments: Sequence[_Attachment] | None = None
    parameters: Known = _NONE
    steps: Sequence[_Step] | None = None
    insights: Known = _NONE


class _Tool(_Strict):
    name: Known = _NONE
    version: Known = _NONE


class _Summary(_Strict):
    tests: Known = _NONE
    passed: Known = _NONE
    failed: Known = _NONE
    skipped: Known = _NONE
    pending: Known = _NONE
    other: Known = _NONE
    flaky: Known = _NONE
    suites: Known = _NONE
    start: Known = _NONE
    stop: Known = _NONE
    duration: Known = _NONE


class _Environment(_Strict):
    report_name: Known = _NONE
    app_name: Known = _NONE
    app_version: Known = _NONE
    build_id: Known = _NONE
    build_name: Known = _NONE
    build_number: Known = _NONE
    build_url: Known = _NONE
    repository_name: Known = _NONE
    repository_url: Known = _NONE
    commit: Known = _NONE
    branch_name: Known = _NONE
    os_platform: Known = _NONE
    os_release: Known = _NONE
    os_version: Known = _NONE
    test_environment: Known = _NONE
    shard_id: Known = _NONE
    healthy: Known = _NONE


class _Results(_Strict):
    tool: _Tool | None = None
    summary: _Summary | None = None
    tests: Sequence[msgspec.Raw] = ()
    environment: _Environment | None = None


class _Document(_Strict):
    report_format: Known = _NONE
    spec_version: Known = _NONE
    report_id: Known = _NONE
    run_id: Known = _NONE
    timestamp: Known = _NONE
    generated_by: Known = _NONE
    results: _Results | None = None
    insights: Known = _NONE
    baseline: Known = _NONE


class _Tests(msgspec.Struct):
    tests: Sequence[msgspec.Raw]


class _Outside(msgspec.Struct):
    results: _Tests


_document = msgspec.json.Decoder(_Document)
_tests = msgspec.json.Decoder(_Outside)
_test = msgspec.json.Decoder(_Test)


def deviations(content: bytes) -> Iterator[tuple[str, str]]:
    """What a document has that CTRF does not know: the first of the document itself, then of each of its tests.

    Args:
        content: a document that was read before.

    Yields:
        The path of what the decoder's word begins from, and the decoder's word.
    """
    try:
        _document.decode(content)
    except msgspec.ValidationError as error:
        yield "", str(error)
    for index, test in enumerate(_tests.decode(content).results.tests):
        try:
            _test.decode(test)
        except msgspec.ValidationError as error:
            yield f"results.tests[{index}]", str(error)
