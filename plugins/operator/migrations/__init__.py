"""Migrations of the operator's tables, oldest first; each only adds."""
