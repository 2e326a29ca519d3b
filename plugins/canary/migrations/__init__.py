"""Migrations of the canary's tables, oldest first; each only adds."""
