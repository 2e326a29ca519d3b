"""The store in PostgreSQL: shared by a fleet."""
