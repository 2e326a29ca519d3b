"""Migrations of the breaker's tables, oldest first; each only adds."""
