"""Webhooks out: couriers and their epochs, webhooks, messages, deliveries and attempts.

A message is one event; a delivery is one message to one webhook; an attempt is one request. The owner of an execution
writes messages and deliveries in the transaction of the change; the webhook's courier sends, and writes attempts.
"""

from storage.migrations.script import run

revision = "0002"
down_revision = "0001"

_COURIERS = """
-- One row a courier, as many as partitions; it raised the epoch when it started, and every commit of it checks it.
CREATE TABLE couriers (
    courier integer PRIMARY KEY CHECK (courier >= 0),
    epoch bigint NOT NULL DEFAULT 0,
    claimed_at timestamptz
);
INSERT INTO couriers (courier) SELECT partition FROM partitions;

-- One row. Raised in the transaction of every change to who is told of what, and read by owners in each of theirs.
CREATE TABLE webhook_revision (revision bigint NOT NULL);
CREATE UNIQUE INDEX webhook_revision_is_one ON webhook_revision ((true));
INSERT INTO webhook_revision VALUES (0);
"""

_WEBHOOKS = """
-- `secret` and `former_secret` are sealed. One that was deleted stays until its last delivery is forgotten.
CREATE TABLE webhooks (
    webhook_id text PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    courier integer NOT NULL CHECK (courier >= 0),
    url text NOT NULL CHECK (url <> ''),
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    events_key text NOT NULL,
    filters json NOT NULL,
    retry_policy json NOT NULL,
    secret bytea NOT NULL,
    former_secret bytea,
    former_secret_until timestamptz,
    status text NOT NULL CHECK (status IN ('active', 'inactive', 'disabled')),
    status_reason text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    failing_since timestamptz,
    last_validated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT disabled_has_reason CHECK ((status = 'disabled') = (status_reason IS NOT NULL)),
    CONSTRAINT former_secret_ends CHECK ((former_secret IS NULL) = (former_secret_until IS NULL))
);
CREATE UNIQUE INDEX webhooks_once ON webhooks (tenant_id, url, events_key) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_newest_first ON webhooks (tenant_id, created_at DESC, webhook_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_of_courier ON webhooks (courier) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- The gateway's role may change webhooks, but not the revision: this function may, in its stead. It runs at the end of
-- the transaction, so that the revision is the last row to be locked, and nobody waits for it with others in hand.
CREATE FUNCTION raise_webhook_revision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN
        EXECUTE format('UPDATE %I.webhook_revision SET revision = revision + 1', TG_TABLE_SCHEMA);
        RETURN NULL;
    END $$;
CREATE CONSTRAINT TRIGGER webhook_revision
    AFTER INSERT OR DELETE OR UPDATE OF events, filters, status, deleted_at ON webhooks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION raise_webhook_revision();
"""

_DELIVERIES = """
-- `body` is exactly what is sent, as UTF-8.
CREATE TABLE webhook_messages (
    message_id text PRIMARY KEY,
    tenant_id bigint NOT NULL,
    event text NOT NULL,
    execution_id text,
    body text NOT NULL,
    created_at timestamptz NOT NULL
);

-- `attempts` counts all, `tries` those since it was last queued. Rows change a few times and then rest, so that dead
-- rows at the front of an index, which claiming would step over again and again, are cleared early.
CREATE TABLE webhook_deliveries (
    delivery_id text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    webhook_id text NOT NULL,
    message_id text NOT NULL,
    event text NOT NULL,
    execution_id text,
    status text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'missed')),
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    last_status_code integer,
    last_error text,
    CONSTRAINT pending_is_due CHECK ((status = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT ended_has_end CHECK ((status = 'pending') = (ended_at IS NULL)),
    CONSTRAINT delivered_was_tried CHECK ((status = 'delivered') <= (attempts > 0)),
    CONSTRAINT tries_are_attempts CHECK (tries BETWEEN 0 AND attempts)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE UNIQUE INDEX webhook_deliveries_once ON webhook_deliveries (message_id, webhook_id);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, due_at, ordinal) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_retries ON webhook_deliveries (webhook_id, due_at, ordinal)
    WHERE ended_at IS NULL AND tries > 0;
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, created_at, ordinal);
CREATE INDEX webhook_deliveries_unserved ON webhook_deliveries (webhook_id, created_at, ordinal)
    WHERE status IN ('failed', 'missed');
CREATE INDEX webhook_deliveries_of_execution ON webhook_deliveries (execution_id, created_at, ordinal)
    WHERE execution_id IS NOT NULL;
CREATE INDEX webhook_deliveries_by_end ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    delivery_id text,
    number integer CHECK (number >= 1),
    tenant_id bigint NOT NULL,
    at timestamptz NOT NULL,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    status_code integer,
    error text,
    reply text NOT NULL,
    PRIMARY KEY (delivery_id, number),
    CONSTRAINT answer_or_error CHECK (status_code IS NOT NULL OR error IS NOT NULL)
);
"""

# A courier reads what is due; from an endpoint that is known to fail, only what was tried before. With these settings
# an index is read in its order, and no further than needed: what statistics say (old ones, or none after a bulk load)
# cannot talk the planner into reading a whole backlog and sorting it.
_DUE = """
CREATE FUNCTION {name}(wanted text[], most integer[], until timestamptz, held text[])
    RETURNS TABLE (
        delivery_id text, webhook_id text, message_id text, ordinal bigint, event text, body text,
        tries integer, attempts integer, due_at timestamptz
    )
    LANGUAGE sql STABLE ROWS 100
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    BEGIN ATOMIC
        SELECT d.delivery_id, w.webhook_id, d.message_id, d.ordinal, d.event, m.body, d.tries, d.attempts, d.due_at
        FROM unnest(wanted, most) AS lane(webhook_id, most)
        JOIN webhooks AS w ON w.webhook_id = lane.webhook_id AND w.status = 'active' AND w.deleted_at IS NULL
        CROSS JOIN LATERAL (
            SELECT p.delivery_id, p.message_id, p.ordinal, p.event, p.tries, p.attempts, p.due_at
            FROM webhook_deliveries AS p
            WHERE p.webhook_id = lane.webhook_id AND {condition} AND p.due_at <= until
                AND p.delivery_id NOT IN (SELECT unnest(held))
            ORDER BY p.due_at, p.ordinal
            LIMIT lane.most
        ) AS d
        JOIN webhook_messages AS m ON m.message_id = d.message_id;
    END;
"""

# Each names its rows in the words of one index, so that no other can be taken for them.
_DUE_FUNCTIONS = (
    _DUE.format(name="due_webhook_deliveries", condition="p.status = 'pending'"),
    _DUE.format(name="due_webhook_retries", condition="p.ended_at IS NULL AND p.tries > 0"),
)

_RECEIPTS = """
-- The gateway keeps receipts of what it carries out itself, which may be about no execution.
ALTER TABLE receipts ALTER COLUMN execution_id DROP NOT NULL;
GRANT INSERT ON receipts TO tms_reader;
"""

_POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON {table} TO tms_reader
    USING (tenant_id = (SELECT nullif(current_setting('tms.tenant_id', true), '')::bigint));
GRANT SELECT ON {table} TO tms_reader;
"""

_TENANT_TABLES = ("webhooks", "webhook_messages", "webhook_deliveries", "webhook_attempts")

# The gateway registers and changes webhooks, sends samples, and queues deliveries again.
_GRANTS = """
GRANT INSERT ON webhooks, webhook_messages, webhook_deliveries TO tms_reader;
GRANT UPDATE (
    url, events, events_key, filters, retry_policy, secret, former_secret, former_secret_until, status, status_reason,
    updated_at, failing_since, last_validated_at, deleted_at
) ON webhooks TO tms_reader;
GRANT UPDATE (status, tries, due_at, ended_at) ON webhook_deliveries TO tms_reader;
GRANT SELECT ON couriers, webhook_revision TO tms_reader;
REVOKE EXECUTE ON FUNCTION raise_webhook_revision, due_webhook_deliveries, due_webhook_retries FROM PUBLIC;
"""


def upgrade() -> None:
    """Make everything beside what 0001 made."""
    policies = (_POLICY.format(table=table) for table in _TENANT_TABLES)
    run("".join((_COURIERS, _WEBHOOKS, _DELIVERIES, *_DUE_FUNCTIONS, _RECEIPTS, *policies, _GRANTS)))
