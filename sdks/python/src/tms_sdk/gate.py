"""`tms gate`: whether an execution is good enough, by the server's word."""

import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from tms_sdk.client import TMSClient
from tms_sdk.errors import ApiError, UsageError
from tms_sdk.verdict import ExitCode
from tms_sdk.wire import GateVerdict, NamedTest, RuleFinding

LOOK_SECONDS = 2.0

_UNPROCESSABLE = 422


def gate(
    client: TMSClient,
    execution_id: str,
    rules: str | None,
    baseline: str | None,
    console: Console,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Wait until an execution has ended, have it judged, and print why; return 0 (passed) or 1 (failed).

    Args:
        client: of the server that has it.
        execution_id: the execution's id.
        rules: with commas between them; None for the server's own.
        baseline: the branch to compare with; None for the server's choice.
        console: to print to.
        sleep: waits so many seconds between looks.

    Raises:
        UsageError: a rule is none.
        ApiError: the server refuses.
        Unreachable: the server does not answer.
    """
    query = {name: text for name, text in (("rules", rules), ("baseline", baseline)) if text is not None}
    verdict = _ask(client, execution_id, query)
    if verdict["verdict"] == "pending":
        console.print(f"{execution_id} has not ended yet; waiting", soft_wrap=True, highlight=False)
    while verdict["verdict"] == "pending":
        sleep(LOOK_SECONDS)
        verdict = _ask(client, execution_id, query)
    for line in _lines(verdict):
        console.print(line, soft_wrap=True)
    return ExitCode.OK if verdict["verdict"] == "passed" else ExitCode.TESTS_FAILED


def _ask(client: TMSClient, execution_id: str, query: dict[str, str]) -> GateVerdict:
    try:
        return client.gate(execution_id, **query)
    except ApiError as error:
        if error.status == _UNPROCESSABLE:
            raise UsageError("\n".join(detail.message for detail in error.details) or error.message) from error
        raise


def _lines(verdict: GateVerdict) -> Iterator[Text]:
    for finding in verdict["rules"]:
        yield _line(finding)
        if not finding["passed"]:
            yield from _named(finding["tests"], finding["testsTotal"])
            if finding["unlisted"]:
                yield Text(f"    {finding['unlisted']} that the runner counted and did not list")
            yield from (Text(f"    {part}") for part in finding["parts"])
    if verdict["quarantined"]:
        yield Text("failed in quarantine, and so not counted:", "yellow")
        yield from _named(verdict["quarantined"], len(verdict["quarantined"]))
    compared = verdict["comparedWith"]
    if compared is not None:
        amount = len(compared["executionIds"])
        branch = compared["branch"] or "no branch"
        yield Text(f"compared with {amount} former executions of {branch}", "dim")
    style = "bold green" if verdict["verdict"] == "passed" else "bold red"
    yield Text.assemble(f"{verdict['executionId']} ", (verdict["verdict"], style))


def _line(finding: RuleFinding) -> Text:
    word = ("pass", "green") if finding["passed"] else ("FAIL", "bold red")
    value = finding["value"]
    told = "nothing to compare with" if value is None else f"{value:g}{'%' if finding['percent'] else ''}"
    return Text.assemble(word, f" {finding['rule']}: {told}")


def _named(tests: Sequence[NamedTest], total: int) -> Iterator[Text]:
    for test in tests:
        yield Text(f"    {test['file'] or ''} {test['title']}")
    if total > len(tests):
        yield Text(f"    and {total - len(tests)} more")
