"""The tests of an execution that count, as parts of statements: those of the current submission of each shard.

The execution is `$1`.
"""

_ERROR_START = 300

CURRENT_TESTS = (
    "FROM shards AS s JOIN submissions AS b ON b.execution_id = s.execution_id AND b.root_id = s.submission_id"
    " JOIN tests AS t ON t.submission_id = b.submission_id AND t.reported_at = b.reported_at"
    " WHERE s.execution_id = $1"
)
"""All that was reported: tests `t` of shards `s`."""

# `duration` is to the microsecond, for what is much shorter or longer has no place in a `real`; skipped ones have none.
REPORTED = (
    "SELECT DISTINCT ON (test_id) * FROM ("  # noqa: S608 - our own words
    "  SELECT stable_test_id(t.file, t.title) AS test_id, t.file, t.title, s.number AS shard, t.status, t.duration_ms,"
    "   coalesce(t.retries, 0) AS retries, t.details -> 'attempts' AS attempts,"
    f"  left(t.error, {_ERROR_START}) AS error,"
    "   CASE WHEN t.status = 'failed' THEN error_likeness(t.error) END AS likeness,"
    "   CASE WHEN t.status = 'failed' THEN 'f' WHEN t.status = 'skipped' THEN 's' WHEN t.retries > 0 THEN 'k' ELSE 'p'"
    "   END AS outcome,"
    "   (round(CASE WHEN t.status = 'skipped' THEN NULL WHEN t.duration_ms > 1e15 THEN 1e15 ELSE t.duration_ms END"
    "    * 1000) / 1000)::real AS duration"
    f"  {CURRENT_TESTS}) AS one"
    " ORDER BY test_id, position(outcome IN 'fkps'), duration_ms DESC NULLS LAST"
)
"""Each test once, in the order of ids. One that was reported more than once counts by its worst outcome.

`outcome` is its letter (`orchestrator.history.model.Outcome`), `error` the start of the text.
"""
