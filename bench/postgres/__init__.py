"""A throw-away PostgreSQL server of one's own, for tests and measurements; nothing of it is part of the product."""

from bench.postgres.server import NoPostgres, PostgresServer

__all__ = ["NoPostgres", "PostgresServer"]
