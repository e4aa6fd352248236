"""Plans that hold only what failed or is missing in an earlier execution."""

from storage.migrations.script import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column, null for plans of all tests."""
    run("ALTER TABLE plans ADD COLUMN rerun_of text")
