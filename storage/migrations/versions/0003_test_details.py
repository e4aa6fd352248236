"""What some runners and reports tell of a test besides: tries before the last one, properties, names of attachments."""

from storage.migrations.script import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, null for most tests."""
    run("ALTER TABLE tests ADD COLUMN details json")
