"""Reports, logs and artifacts as pages: for people, and for browsers that run no scripts.

Whatever a page shows of an execution is escaped. Nothing is loaded from anywhere.
"""

from collections.abc import Iterable, Sequence
from html import escape

from gateway.wire.listings import Test
from gateway.wire.reports import Report, ShardArtifacts, ShardLogs, ShardReport
from orchestrator.executions.model import Totals

SHOWN_TESTS = 200
SHOWN_ERROR = 5000
"""More tests, and more characters of an error, are in the forms for programs."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c1e21 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d8dbe0; vertical-align: top }
pre { font: 14px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
@media (prefers-color-scheme: dark) { body { color: #e4e6eb; background: #18191a } a { color: #8ab4f8 } }
"""


def report(found: Report) -> bytes:
    """An execution: headline, shards, failed tests."""
    execution = found.execution
    here = f"/reports/{execution.execution_id}"
    rows = [
        (
            _link(f"{here}/shard-{shard.shard_id}", f"Shard {shard.shard_id}"),
            escape(shard.status),
            _totals(shard.results),
        )
        for shard in execution.shard_results
    ]
    facts = [execution.test_suite, execution.environment, execution.provider, f"created {execution.created_at}"]
    reason = f"<p>{escape(execution.reason)}</p>" if execution.reason else ""
    return _document(
        f"{execution.execution_id}: {execution.status}",
        f"<p>{escape(', '.join(facts))}</p>{reason}<p>{_totals(execution.results)}</p>",
        _table(("Shard", "Status", "Tests"), rows),
        _tests("Failed tests", found.failed_tests),
        _elsewhere(here, execution.execution_id),
    )


def shard_report(found: ShardReport) -> bytes:
    """A shard and its tests."""
    execution_id, shard = found.execution_id, found.shard
    here = f"/reports/{execution_id}/shard-{shard.shard_id}"
    return _document(
        f"{execution_id}, shard {shard.shard_id}: {shard.status}",
        f"<p>{_totals(shard.results)}</p>",
        _tests("Tests", found.tests),
        f"<p>{_link(f'/reports/{execution_id}', 'The whole execution')}</p>",
        _elsewhere(here, execution_id),
    )


def logs(found: ShardLogs) -> bytes:
    """Logs: those that are here, and names of all that runners told of."""
    told = [(f"Shard {shard}", "logs", names) for shard, names in found.shards.items()]
    return _files("Logs", found, told)


def artifacts(found: ShardArtifacts) -> bytes:
    """Artifacts: those that are here, and names of all that runners told of."""
    told = [
        (f"Shard {shard}", kind, names)
        for shard, artifacts in found.shards.items()
        for kind, names in (
            ("screenshots", artifacts.screenshots),
            ("videos", artifacts.videos),
            ("traces", artifacts.traces),
            ("logs", artifacts.logs),
        )
        if names
    ]
    return _files("Artifacts", found, told)


def _files(
    title: str, found: ShardLogs | ShardArtifacts, told: Sequence[tuple[str, str, Sequence[str] | None]]
) -> bytes:
    rows = [
        (
            _link(file.url or "", file.name),
            escape(file.kind),
            f"Shard {escape(file.shard_id)}",
            escape(file.test or ""),
            f"{file.size:,} bytes",
        )
        for file in found.files
    ]
    names = [(escape(shard), escape(kind), "<br>".join(map(escape, names or ()))) for shard, kind, names in told]
    return _document(
        f"{title} of {found.execution_id}",
        _table(("File", "Kind", "Shard", "Test", "Size"), rows) if rows else "<p>No files were uploaded.</p>",
        f"<p>These are the first {len(rows):,} of more files.</p>" if found.has_more_files else "",
        "<h2>Names that runners reported</h2>" + _table(("Shard", "Kind", "Names"), names) if names else "",
        f"<p>{_link(f'/reports/{found.execution_id}', 'The report')}</p>",
    )


def _tests(title: str, tests: Sequence[Test]) -> str:
    if not tests:
        return ""
    rows = [
        (
            f"{escape(test.title)}<br><small>{escape(test.file or '')}</small>",
            escape(test.status),
            f"Shard {escape(test.shard_id)}",
            f"<pre>{escape((test.error or '')[:SHOWN_ERROR])}</pre>",
        )
        for test in tests[:SHOWN_TESTS]
    ]
    rest = f"<p>The first {SHOWN_TESTS} of {len(tests)} or more.</p>" if len(tests) > SHOWN_TESTS else ""
    return f"<h2>{escape(title)}</h2>{rest}" + _table(("Test", "Status", "Shard", "Error"), rows)


def _totals(totals: Totals) -> str:
    counters = ("passed", "failed", "skipped", "flaky")
    return escape(f"{totals.total} tests: " + ", ".join(f"{getattr(totals, name)} {name}" for name in counters))


def _elsewhere(here: str, execution_id: str) -> str:
    links = {
        "Logs": f"/logs/{execution_id}",
        "Artifacts": f"/artifacts/{execution_id}",
        "JUnit XML": f"{here}.xml",
        "CTRF JSON": f"{here}.ctrf.json",
    }
    return "<p>" + " · ".join(_link(url, text) for text, url in links.items()) + "</p>"


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}">{escape(text)}</a>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table>"


def _document(title: str, *body: str) -> bytes:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{''.join(body)}</body></html>\n"
    ).encode()
