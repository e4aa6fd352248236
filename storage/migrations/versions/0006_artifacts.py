"""Artifacts, and the blobs that hold their bytes: one for each content of a tenant, however many artifacts share it.

An object is written to the store first, its row after. A row of `artifacts` refers to a row of `blobs`, and an object
is deleted only after its row was, so that no artifact ever lacks its bytes; what a crash leaves is objects without a
row, which the sweep finds.
"""

from storage.migrations.script import run

revision = "0006"
down_revision = "0005"

_TABLES = """
-- `object_name` is what the store calls the bytes.
CREATE TABLE blobs (
    tenant_id bigint REFERENCES tenants,
    object_name text,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL CHECK (size >= 0),
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, object_name),
    UNIQUE (tenant_id, sha256)
);
CREATE UNIQUE INDEX blobs_by_name ON blobs (object_name);

-- Without `object_name`, the bytes are still coming in parts. `identity` tells one from others of its execution: the
-- same file sent again is the same artifact.
CREATE TABLE artifacts (
    artifact_id text PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    execution_id text NOT NULL REFERENCES executions ON DELETE CASCADE,
    shard integer NOT NULL CHECK (shard >= 1),
    kind text NOT NULL CHECK (kind IN ('screenshots', 'videos', 'traces', 'logs')),
    name text NOT NULL CHECK (name <> ''),
    size bigint NOT NULL CHECK (size >= 0),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    test text,
    file text,
    attempt integer CHECK (attempt >= 1),
    identity bytea NOT NULL,
    created_at timestamptz NOT NULL,
    object_name text,
    stored_at timestamptz,
    FOREIGN KEY (tenant_id, object_name) REFERENCES blobs,
    UNIQUE (execution_id, identity),
    CONSTRAINT stored_has_object CHECK ((object_name IS NULL) = (stored_at IS NULL))
);
CREATE INDEX artifacts_of_execution ON artifacts (execution_id, artifact_id) INCLUDE (size);
CREATE INDEX artifacts_of_blob ON artifacts (tenant_id, object_name) WHERE object_name IS NOT NULL;
CREATE INDEX artifacts_by_age ON artifacts (created_at);
"""

_POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON {table} TO tms_reader
    USING (tenant_id = (SELECT nullif(current_setting('tms.tenant_id', true), '')::bigint));
GRANT SELECT, INSERT ON {table} TO tms_reader;
"""

_GRANTS = """
-- Of blobs, only to lock a row that is to be shared: see storage.artifacts.
GRANT UPDATE (size) ON blobs TO tms_reader;
GRANT UPDATE (object_name, stored_at), DELETE ON artifacts TO tms_reader;
"""


def upgrade() -> None:
    """Add both tables."""
    policies = (_POLICY.format(table=table) for table in ("blobs", "artifacts"))
    run("".join((_TABLES, *policies, _GRANTS)))
