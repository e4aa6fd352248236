"""History: every test's run in every ended execution, what is remembered of tests, and quarantine.

All but quarantine is derived: a historian reads the results of executions that ended, and writes it (storage.digests).
"""

from storage.migrations.script import run

revision = "0005"
down_revision = "0004"

_FUNCTIONS = """
-- As `test_id` in orchestrator/history/model.py.
CREATE FUNCTION stable_test_id(file text, title text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT 'test_' || left(encode(sha256(
            convert_to(coalesce(file, ''), 'UTF8') || '\\x00'::bytea || convert_to(title, 'UTF8')), 'hex'), 20);
    END;

-- Failures with one cause mostly have one: the first line of the error, all numbers alike.
CREATE FUNCTION error_likeness(error text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT left(md5(regexp_replace(
            split_part(ltrim(left(error, 1000), E' \\n\\r\\t'), E'\\n', 1), '0x[0-9a-fA-F]+|[0-9]+', '#', 'g')), 12);
    END;
"""

_DIGESTS = """
-- Whether history has the execution's results as they are; the owner says no with every change. Only executions that
-- ended are in the index, so that updates of running ones stay within their page.
ALTER TABLE executions ADD COLUMN digested boolean NOT NULL DEFAULT false;
CREATE INDEX executions_undigested ON executions (ended_at) WHERE ended_at IS NOT NULL AND NOT digested;

-- What was run together: the executions of a suite on a branch, '' where none was told.
CREATE TABLE suite_branches (
    suite_branch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    test_suite text NOT NULL,
    branch text NOT NULL,
    last_ended_at timestamptz NOT NULL,
    UNIQUE (tenant_id, test_suite, branch)
) WITH (fillfactor = 70);

-- Executions that ended, numbered in about the order in which they did. `was_digested`: there may be runs of it.
CREATE TABLE digested_executions (
    execution_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_id bigint NOT NULL,
    suite_branch_id bigint NOT NULL,
    ended_at timestamptz NOT NULL,
    was_digested boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX digested_executions_newest_first ON digested_executions (tenant_id, ended_at DESC, execution_id DESC);
CREATE INDEX digested_executions_of_branch
    ON digested_executions (suite_branch_id, ended_at DESC, execution_id DESC);
"""

_RUNS = """
-- One row a test and execution. By execution, so that one is written, replaced and read in one place; dropped by month.
CREATE TABLE test_runs (
    execution_id text NOT NULL,
    test_id text NOT NULL,
    ended_at timestamptz NOT NULL,
    tenant_id bigint NOT NULL,
    shard integer NOT NULL,
    status text NOT NULL CHECK (status IN ('passed', 'failed', 'skipped')),
    duration_ms double precision,
    retries integer NOT NULL,
    attempts json,
    error text,
    likeness text,
    PRIMARY KEY (execution_id, test_id, ended_at)
) PARTITION BY RANGE (ended_at);

-- One row a test: its latest runs anywhere, newest first, as the numbers of their executions, their durations and the
-- letters of their outcomes. Every row of a suite changes with every execution, so that pages keep room for that.
CREATE TABLE known_tests (
    tenant_id bigint NOT NULL REFERENCES tenants,
    test_id text NOT NULL,
    file text,
    title text NOT NULL,
    suites text[] NOT NULL,
    first_run_at timestamptz NOT NULL,
    last_run_at timestamptz NOT NULL,
    numbers bigint[] NOT NULL,
    durations real[] NOT NULL,
    outcomes text NOT NULL,
    median_ms real,
    p95_ms real,
    failure_rate real NOT NULL GENERATED ALWAYS AS (coalesce(
        (length(outcomes) - length(replace(outcomes, 'f', '')))::real
        / nullif(length(replace(outcomes, 's', '')), 0), 0)) STORED,
    flake_rate real NOT NULL GENERATED ALWAYS AS (coalesce(
        (length(outcomes) - length(replace(outcomes, 'k', '')))::real
        / nullif(length(replace(outcomes, 's', '')), 0), 0)) STORED,
    PRIMARY KEY (tenant_id, test_id),
    CONSTRAINT one_outcome_a_run CHECK (cardinality(numbers) = length(outcomes)),
    CONSTRAINT one_duration_a_run CHECK (cardinality(numbers) = cardinality(durations))
) WITH (fillfactor = 50);
CREATE INDEX known_tests_failing ON known_tests (tenant_id, failure_rate, test_id);
CREATE INDEX known_tests_flaky ON known_tests (tenant_id, flake_rate, test_id);

-- The latest runs of one suite and branch, for estimates; those that were skipped are left out.
CREATE TABLE test_records (
    suite_branch_id bigint NOT NULL,
    test_id text NOT NULL,
    tenant_id bigint NOT NULL,
    numbers bigint[] NOT NULL,
    durations real[] NOT NULL,
    outcomes text NOT NULL,
    PRIMARY KEY (suite_branch_id, test_id)
) WITH (fillfactor = 50);
"""

_QUARANTINES = """
-- A test has one at a time; those that ended are kept. One past its `expires_at` has ended, though nobody noted it.
CREATE TABLE quarantines (
    quarantine_id text PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    test_id text NOT NULL,
    owner text NOT NULL CHECK (owner <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    exit_streak integer NOT NULL CHECK (exit_streak >= 1),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ending text CHECK (ending IN ('passed', 'expired', 'removed')),
    CONSTRAINT ended_has_ending CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE UNIQUE INDEX quarantines_once ON quarantines (tenant_id, test_id) WHERE ended_at IS NULL;
CREATE INDEX quarantines_newest_first ON quarantines (tenant_id, created_at DESC, quarantine_id DESC);
CREATE INDEX quarantines_of_test ON quarantines (tenant_id, test_id);
"""

_POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON {table} TO tms_reader
    USING (tenant_id = (SELECT nullif(current_setting('tms.tenant_id', true), '')::bigint));
GRANT SELECT ON {table} TO tms_reader;
"""

_TENANT_TABLES = (
    "suite_branches",
    "digested_executions",
    "test_runs",
    "known_tests",
    "test_records",
    "quarantines",
)

_GRANTS = """
GRANT INSERT ON quarantines TO tms_reader;
GRANT UPDATE (owner, reason, exit_streak, expires_at, ended_at, ending) ON quarantines TO tms_reader;
"""


def upgrade() -> None:
    """Make everything beside what was there; executions that ended before are digested as if they had just ended."""
    policies = (_POLICY.format(table=table) for table in _TENANT_TABLES)
    run("".join((_FUNCTIONS, _DIGESTS, _RUNS, _QUARANTINES, *policies, _GRANTS)))
