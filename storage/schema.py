"""The tables, as SQLAlchemy Core knows them.

The migrations in `storage/migrations` make them; a test holds the two equal. What each table is for stands in the
migration that made it.
"""

from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)

metadata = MetaData()
Moment = DateTime(timezone=True)


def _totals() -> tuple[Column[int], ...]:
    return tuple(Column(name, BigInteger, nullable=False) for name in ("total", "passed", "failed", "skipped", "flaky"))


tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True),
    Column("tenant_uuid", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)

partitions = Table(
    "partitions",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("claimed_at", Moment),
)

executions = Table(
    "executions",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("test_suite", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("trigger_source", Text),
    Column("branch", Text),
    Column("commit_sha", Text),
    Column("configuration", JSON, nullable=False),
    Column("metadata", JSON),
    Column("base_url", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("deadline", Moment),
    Column("reason_code", Text),
    Column("reason", Text),
    Column("announced", JSON),
    *_totals(),
    Column("digested", Boolean, nullable=False),
)

shards = Table(
    "shards",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    *_totals(),
    Column("submission_id", Text),
    Column("digest", LargeBinary),
    Column("attempts", Integer, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("duration_ms", BigInteger),
    Column("streamed", Boolean, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("mode", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("tests", Integer, nullable=False),
    Column("known_tests", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("units", JSON, nullable=False),
    Column("bounds", ARRAY(Integer), nullable=False),
    Column("shard_ms", ARRAY(Double), nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("rerun_of", Text),
)

deals = Table(
    "deals",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("reported", LargeBinary, nullable=False),
    Column("missing", LargeBinary, nullable=False),
    Column("state", JSON, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("attempt", Integer),
    Column("provider", Text),
    Column("status", Text, nullable=False),
    *_totals(),
    Column("tests", Integer, nullable=False),
    Column("first_frame", Integer),
    Column("artifacts", JSON),
    Column("metadata", JSON),
    Column("digest", LargeBinary, nullable=False),
    Column("reported_at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("root_id", Text, nullable=False),
)

tests = Table(
    "tests",
    metadata,
    Column("submission_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("reported_at", Moment, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("file", Text),
    Column("status", Text, nullable=False),
    Column("duration_ms", Double),
    Column("error", Text),
    Column("retries", Integer),
    Column("tags", ARRAY(Text)),
    Column("details", JSON),
)

events = Table(
    "events",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("data", JSON, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("execution_id", Text),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("receipt", JSON, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True),
    Column("object_name", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("stored_at", Moment, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("artifact_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("test", Text),
    Column("file", Text),
    Column("attempt", Integer),
    Column("identity", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("object_name", Text),
    Column("stored_at", Moment),
)

couriers = Table(
    "couriers",
    metadata,
    Column("courier", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("claimed_at", Moment),
)

webhook_revision = Table("webhook_revision", metadata, Column("revision", BigInteger, nullable=False))

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("courier", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("events_key", Text, nullable=False),
    Column("filters", JSON, nullable=False),
    Column("retry_policy", JSON, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("former_secret", LargeBinary),
    Column("former_secret_until", Moment),
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("failing_since", Moment),
    Column("last_validated_at", Moment),
    Column("deleted_at", Moment),
)

webhook_messages = Table(
    "webhook_messages",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("execution_id", Text),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("webhook_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("execution_id", Text),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("last_status_code", Integer),
    Column("last_error", Text),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer),
    Column("error", Text),
    Column("reply", Text, nullable=False),
)

suite_branches = Table(
    "suite_branches",
    metadata,
    Column("suite_branch_id", BigInteger, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("test_suite", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("last_ended_at", Moment, nullable=False),
)

digested_executions = Table(
    "digested_executions",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("suite_branch_id", BigInteger, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("was_digested", Boolean, nullable=False),
)

test_runs = Table(
    "test_runs",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("test_id", Text, primary_key=True),
    Column("ended_at", Moment, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("duration_ms", Double),
    Column("retries", Integer, nullable=False),
    Column("attempts", JSON),
    Column("error", Text),
    Column("likeness", Text),
)

known_tests = Table(
    "known_tests",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True),
    Column("test_id", Text, primary_key=True),
    Column("file", Text),
    Column("title", Text, nullable=False),
    Column("suites", ARRAY(Text), nullable=False),
    Column("first_run_at", Moment, nullable=False),
    Column("last_run_at", Moment, nullable=False),
    Column("numbers", ARRAY(BigInteger), nullable=False),
    Column("durations", ARRAY(REAL), nullable=False),
    Column("outcomes", Text, nullable=False),
    Column("median_ms", REAL),
    Column("p95_ms", REAL),
    Column("failure_rate", REAL, Computed("of outcomes"), nullable=False),
    Column("flake_rate", REAL, Computed("of outcomes"), nullable=False),
)

test_records = Table(
    "test_records",
    metadata,
    Column("suite_branch_id", BigInteger, primary_key=True, autoincrement=False),
    Column("test_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("numbers", ARRAY(BigInteger), nullable=False),
    Column("durations", ARRAY(REAL), nullable=False),
    Column("outcomes", Text, nullable=False),
)

quarantines = Table(
    "quarantines",
    metadata,
    Column("quarantine_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("test_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("exit_streak", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ending", Text),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("deleted_at", Moment),
)

job_versions = Table(
    "job_versions",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("environment", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
)

job_archives = Table(
    "job_archives",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, primary_key=True),
    Column("files", Integer, nullable=False),
    Column("unpacked_bytes", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
)

job_shards = Table(
    "job_shards",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("queued_at", Moment, nullable=False),
    Column("seen_at", Moment),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("node", Text),
    Column("exit_code", Integer),
    Column("reason", Text),
)

job_output = Table(
    "job_output",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("content", Text, nullable=False),
)
