"""Jobs: commands that administrators registered, the shards in which executions run them, and their output."""

from storage.migrations.script import run

revision = "0007"
down_revision = "0006"

_JOBS = """
-- `version` is the newest. One that was deleted is kept for the executions that ran it; its name is free again.
CREATE TABLE jobs (
    job_id text PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    name text NOT NULL CHECK (name <> ''),
    version integer NOT NULL CHECK (version >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX jobs_by_name ON jobs (tenant_id, name) WHERE deleted_at IS NULL;

-- A version never changes. `environment`: JSON of its variables, sealed. `fingerprint`: keyed, of all of it.
CREATE TABLE job_versions (
    job_id text NOT NULL REFERENCES jobs,
    version integer NOT NULL,
    tenant_id bigint NOT NULL,
    definition json NOT NULL,
    environment bytea NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (job_id, version)
);

-- Archives by the digest of their bytes; each is stored once a tenant.
CREATE TABLE job_archives (
    tenant_id bigint NOT NULL REFERENCES tenants,
    digest text NOT NULL,
    files integer NOT NULL,
    unpacked_bytes bigint NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);
-- They are compressed already.
ALTER TABLE job_archives ALTER COLUMN content SET STORAGE EXTERNAL;
"""

_RUNS = """
-- What an execution runs; written in the transaction that makes it.
CREATE TABLE job_runs (
    execution_id text PRIMARY KEY REFERENCES executions ON DELETE CASCADE,
    tenant_id bigint NOT NULL,
    job_id text NOT NULL,
    version integer NOT NULL,
    parameters json NOT NULL,
    FOREIGN KEY (job_id, version) REFERENCES job_versions
);

-- One row a shard. `attempt` rises with every start, and fences off what was started before; `failures` counts those
-- whose process died. `seen_at`: the last sign of life of who has it now.
CREATE TABLE job_shards (
    execution_id text NOT NULL REFERENCES job_runs ON DELETE CASCADE,
    shard integer NOT NULL CHECK (shard >= 1),
    tenant_id bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'placed', 'running', 'lost', 'ended')),
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL,
    seen_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    node text,
    exit_code integer,
    reason text,
    PRIMARY KEY (execution_id, shard),
    CONSTRAINT held_is_seen CHECK (state NOT IN ('placed', 'running') OR seen_at IS NOT NULL)
) WITH (fillfactor = 70);
CREATE INDEX job_shards_open ON job_shards (tenant_id, queued_at) WHERE state <> 'ended';

-- The output of shards in pieces; `start` counts the bytes before it, over all attempts of the shard.
CREATE TABLE job_output (
    execution_id text NOT NULL REFERENCES job_runs ON DELETE CASCADE,
    shard integer NOT NULL,
    start bigint NOT NULL,
    tenant_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (execution_id, shard, start)
);
CREATE INDEX job_output_oldest ON job_output USING brin (at);

CREATE FUNCTION tenant_of_managed(wanted text, moment timestamptz) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT e.tenant_id FROM job_runs AS r JOIN executions AS e USING (execution_id)
        WHERE e.execution_id = wanted AND (e.ended_at IS NULL OR e.ended_at > moment);
    END;
"""

_POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON {table} TO tms_reader
    USING (tenant_id = (SELECT nullif(current_setting('tms.tenant_id', true), '')::bigint));
GRANT SELECT ON {table} TO tms_reader;
"""

_TENANT_TABLES = ("jobs", "job_versions", "job_archives", "job_runs", "job_shards", "job_output")

_GRANTS = """
GRANT INSERT ON jobs, job_versions, job_archives TO tms_reader;
GRANT UPDATE (version, updated_at, deleted_at) ON jobs TO tms_reader;
REVOKE EXECUTE ON FUNCTION tenant_of_managed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_of_managed TO tms_reader;
"""


def upgrade() -> None:
    """Make them."""
    run("".join((_JOBS, _RUNS, *(_POLICY.format(table=table) for table in _TENANT_TABLES), _GRANTS)))
