"""How a migration runs SQL: as one script of many statements, which the driver's prepared statements cannot take."""

from alembic import op


def run(script: str) -> None:
    """Execute all statements of a script in the migration's transaction."""
    pooled = op.get_bind().connection
    pooled.dbapi_connection.run_async(lambda driver: driver.execute(script))  # type: ignore[union-attr] # asyncpg's adapter has it
