"""Migrations of the core's tables, oldest first; each only adds."""
