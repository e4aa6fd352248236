"""Plans: which tests are run, in which units they are dealt out, and how far they are worked off."""

from storage.migrations.script import run

revision = "0004"
down_revision = "0003"

_PLANS = """
-- What is settled when a plan is made. `manifest` holds the tests' names, packed (storage.plans).
CREATE TABLE plans (
    execution_id text PRIMARY KEY REFERENCES executions ON DELETE CASCADE,
    tenant_id bigint NOT NULL,
    mode text NOT NULL CHECK (mode IN ('static', 'queue')),
    created_at timestamptz NOT NULL,
    tests integer NOT NULL CHECK (tests >= 1),
    known_tests integer NOT NULL CHECK (known_tests BETWEEN 0 AND tests),
    digest bytea NOT NULL,
    units json NOT NULL,
    bounds integer[] NOT NULL,
    shard_ms double precision[] NOT NULL,
    manifest bytea NOT NULL
);
-- It is packed already.
ALTER TABLE plans ALTER COLUMN manifest SET STORAGE EXTERNAL;

-- What changes with every claim and report: the sets of tests as bits, the rest (leases, queue) as JSON.
CREATE TABLE deals (
    execution_id text PRIMARY KEY REFERENCES plans ON DELETE CASCADE,
    tenant_id bigint NOT NULL,
    reported bytea NOT NULL,
    missing bytea NOT NULL,
    state json NOT NULL
) WITH (fillfactor = 50);

-- A shard whose current submission comes in pieces; until the shard ends, tests are added to it.
ALTER TABLE shards ADD COLUMN streamed boolean NOT NULL DEFAULT false;
ALTER TABLE shards ADD CONSTRAINT streamed_has_submission CHECK (streamed <= (submission_id IS NOT NULL));

-- What is streamed comes in many submissions; `root_id` names the first of them, as `shards.submission_id` does.
ALTER TABLE submissions ADD COLUMN root_id text;
UPDATE submissions SET root_id = submission_id;
ALTER TABLE submissions ALTER COLUMN root_id SET NOT NULL;
"""

_POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON {table} TO tms_reader
    USING (tenant_id = (SELECT nullif(current_setting('tms.tenant_id', true), '')::bigint));
GRANT SELECT ON {table} TO tms_reader;
"""


def upgrade() -> None:
    """Make them."""
    run(_PLANS + "".join(_POLICY.format(table=table) for table in ("plans", "deals")))
