"""${message}."""

from storage.migrations.script import run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Make the change; the code of the version before must still run on it."""
    run("""
    """)
