"""What lasts: Postgres, the bus, and the embedded servers of one machine."""
